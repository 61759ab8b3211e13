"""Test the page of benchmark results: a run replaces its rows in the older sections."""

from pathlib import Path

from benchmarks import report
from benchmarks.chart import Panel
from benchmarks.table import Goal, TableLine

LINE = TableLine("orders", Goal(">=", 2), [400], "the peer", [100])
OTHER = TableLine("stats", Goal("<=", 5, "ms"), [3], unit="ms")


def section(title: str, *rows: str, notes: tuple[str, ...] = ()) -> str:
    lines = [(row, OTHER if row == "reads" else LINE) for row in rows]
    return report.describe_run(f"{title}\n2 cores", lines, notes)


def test_a_section_has_the_machine_the_table_and_the_notes() -> None:
    text = section("today, commit 1a2b3c4", "hot", notes=("`hot`: slow",))
    heading, machine, table, notes = text.strip().split("\n\n")
    assert heading == "## today, commit 1a2b3c4"
    assert machine == "* 2 cores"
    assert table.splitlines()[2].startswith("| hot | orders")
    assert notes == "* `hot`: slow"


def test_rows_that_are_measured_again_move_to_the_newest_section() -> None:
    page = report.merge("", section("first", "hot", "reads", notes=("`hot`: slow",)), [])
    page = report.merge(page, section("second", "hot"), ["hot"])
    assert page.startswith("# Benchmarks\n")
    _, newest, older = page.split("\n## ")
    assert newest.startswith("second\n")
    assert newest.count("| hot ") == 1
    assert older.startswith("first\n")
    assert "hot" not in older
    assert older.count("| reads ") == 1


def test_a_section_without_rows_is_removed() -> None:
    page = report.merge("", section("first", "hot"), [])
    page = report.merge(page, section("second", "hot"), ["hot"])
    assert "first" not in page
    assert "2 cores" in page


def test_the_chart_stays_until_it_is_measured_again(tmp_path: Path) -> None:
    panels = [Panel("orders", "/s", [(10_000, 900), (100_000, 450)])]
    report.write(tmp_path, section("first", "growth"), ["growth"], panels)
    report.write(tmp_path, section("second", "hot"), ["hot"], [])
    page = (tmp_path / "benchmarks.md").read_text()
    assert page.count("## Growth") == page.count("benchmarks-growth.svg") == 1
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## second",
        "## first",
        "## Growth",
    ]
    assert "450/s" in (tmp_path / "benchmarks-growth.svg").read_text()
