"""The page of results, docs/benchmarks.md: each run is a section, the newest run first.

A run replaces the rows that it measured; rows that were measured earlier stay in their sections.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import chart
from benchmarks.table import TableLine, render

PAGE = "benchmarks.md"
CHART = "benchmarks-growth.svg"
HEAD = """\
# Benchmarks

`make bench` writes this page. Each section is a run, compared with the goals of its commit. A row
that is measured again moves to the newest run. [performance.md](performance.md) explains the rows,
and why some goals are not met.
"""
GROWTH = f"""\
## Growth

Cost against the number of orders in the database (row `growth`).

![Six small charts: each measurement against the number of orders]({CHART})
"""
SECTION = re.compile(r"^## ", re.MULTILINE)
# A line of the table, or a note, and the row that it belongs to.
ROW_LINE = re.compile(r"^(?:\| |\* `)(?!row )(\w+)", re.MULTILINE)


def describe_run(
    description: str, lines: Sequence[tuple[str, TableLine]], notes: Sequence[str]
) -> str:
    """Return the section of a run: its description, the table and the notes."""
    title, *details = description.splitlines()
    parts = [f"## {title}", "\n".join(f"* {detail}" for detail in details), render(lines)]
    if notes:
        parts.append("\n".join(f"* {note}" for note in notes))
    return "\n\n".join(parts) + "\n"


def merge(page: str, section: str, rows: Iterable[str], *, has_chart: bool = False) -> str:
    """Return the page with a new section; its rows are removed from the older sections."""
    _, *older = SECTION.split(page)
    kept = [_remove_rows(f"## {text}", set(rows)) for text in older]
    sections = [section, *[text for text in kept if ROW_LINE.search(text)], *[GROWTH] * has_chart]
    return "\n".join([HEAD, *(f"{text.rstrip()}\n" for text in sections)])


def _remove_rows(section: str, rows: set[str]) -> str:
    def is_kept(line: str) -> bool:
        found = ROW_LINE.match(line)
        return found is None or found[1] not in rows

    return "\n".join(line for line in section.splitlines() if is_kept(line))


def write(folder: Path, section: str, rows: Iterable[str], panels: Sequence[chart.Panel]) -> None:
    """Write the page, and the chart if it was measured."""
    if panels:
        (folder / CHART).write_text(chart.draw(panels))
    page = folder / PAGE
    text = page.read_text() if page.exists() else ""
    page.write_text(merge(text, section, rows, has_chart=(folder / CHART).exists()))
