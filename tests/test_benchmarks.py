"""Test the table of benchmark results; no test checks the measured speed."""

from benchmarks.table import Goal, Line, render


def test_a_ratio_is_that_of_each_turn_and_its_middle_decides() -> None:
    line = Line("orders", Goal(">=", 10), [500, 900, 1300], "the peer", [100, 90, 100])
    assert line.figures == [5, 10, 13]
    assert line.cells == (
        *("orders", "900/s", "100/s", "the peer"),
        *("10.0x", "5.00 to 13.0", ">= 10x", "met"),
    )


def test_without_a_peer_the_goal_is_about_our_own_figure() -> None:
    line = Line("memory", Goal("<=", 150, "MB"), [149, 151.5, 160], unit="MB")
    assert line.cells == ("memory", "152 MB", "", "", "", "149 to 160", "<= 150 MB", "NOT MET")


def test_the_table_is_one_in_markdown() -> None:
    line = Line("p99", Goal("<=", 0.3), [3], "the peer", [12], unit="ms")
    head, rule, row = render([("original", line)]).splitlines()
    assert head.count("|") == rule.count("|") == row.count("|") == 10
    assert len(head) == len(rule) == len(row)
    assert "| original | p99  | 3.00 ms | 12.0 ms | the peer | 0.25x |" in row
