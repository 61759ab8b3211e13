"""Test the table of benchmark results; no test checks the measured speed."""

from benchmarks.table import Goal, TableLine, render


def test_the_median_of_the_ratios_of_all_turns_is_compared_with_the_goal() -> None:
    line = TableLine("orders", Goal(">=", 10), [500, 900, 1300], "the peer", [100, 90, 100])
    assert line.figures == [5, 10, 13]
    assert line.cells == (
        *("orders", "900/s", "100/s", "the peer"),
        *("10.0x", "5.00 to 13.0", ">= 10x", "met"),
    )


def test_without_a_peer_our_own_figure_is_compared_with_the_goal() -> None:
    line = TableLine("memory", Goal("<=", 150, "MB"), [149, 151.5, 160], unit="MB")
    assert line.cells == ("memory", "152 MB", "", "", "", "149 to 160", "<= 150 MB", "NOT MET")


def test_the_table_is_aligned_markdown() -> None:
    line = TableLine("p99", Goal("<=", 0.3), [3], "the peer", [12], unit="ms")
    head, rule, row = render([("original", line)]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 10
    assert len(head) == len(rule) == len(row)
    assert "| original | p99         | 3.00 ms | 12.0 ms | the peer | 0.25x |" in row


def test_a_line_without_a_goal_has_no_verdict() -> None:
    line = TableLine("stats", None, [3], "10,000 orders", [1.5], unit="ms")
    assert line.cells[-4:] == ("2.00x", "2.00 to 2.00", "", "")
