"""The table: ours beside the peer, the ratio and its spread, and whether the goal is met."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

HEAD = ("row", "what", "ours", "peer", "against", "ratio", "spread", "goal", "")


@dataclass(frozen=True)
class Goal:
    """At least, or at most, so much: of the ratio (`x`), or of our own figure in a unit."""

    sign: str
    bound: float
    unit: str = "x"

    def met(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure >= self.bound if self.sign == ">=" else figure <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}{_after(self.unit)}"


@dataclass(frozen=True)
class Line:
    """What was measured in turns, ours and the peer's; no peer where the goal is in a unit."""

    what: str
    goal: Goal
    ours: Sequence[float]
    against: str = ""
    peer: Sequence[float] = ()
    unit: str = "/s"

    @property
    def figures(self) -> list[float]:
        """What the goal is about, once per round."""
        if not self.peer:
            return list(self.ours)
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def cells(self) -> tuple[str, ...]:
        """As text, in the order of HEAD but for its first."""
        figures, unit = self.figures, self.goal.unit
        return (
            self.what,
            shown(median(self.ours), self.unit),
            shown(median(self.peer), self.unit) if self.peer else "",
            self.against,
            shown(median(figures), unit) if self.peer else "",
            f"{shown(min(figures))} to {shown(max(figures))}",
            str(self.goal),
            "met" if self.goal.met(median(figures)) else "NOT MET",
        )


def shown(value: float, unit: str = "") -> str:
    """With three digits that count."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{_after(unit)}"


def _after(unit: str) -> str:
    return f" {unit}" if unit.isalpha() and unit != "x" else unit


def render(lines: Iterable[tuple[str, Line]]) -> str:
    """A Markdown table of lines, each with its row's name, that is a table in a terminal too."""
    rows = [HEAD, *((name, *line.cells) for name, line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
