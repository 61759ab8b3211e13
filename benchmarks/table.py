"""The table of results: our figure, the peer's, their ratio, its spread, and the goal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

COLUMNS = ("row", "measurement", "ours", "peer", "against", "ratio", "spread", "goal", "")


@dataclass(frozen=True)
class Goal:
    """A lower or upper bound for the ratio (`x`), or for our own figure in a unit."""

    sign: str
    bound: float
    unit: str = "x"

    def is_met_by(self, figure: float) -> bool:
        """Return whether a figure meets the goal."""
        return figure >= self.bound if self.sign == ">=" else figure <= self.bound

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}{_unit_suffix(self.unit)}"


@dataclass(frozen=True)
class TableLine:
    """Our figures and those of the peer, measured in turns; no peer if the goal is in a unit."""

    measurement: str
    goal: Goal | None
    ours: Sequence[float]
    against: str = ""
    peer: Sequence[float] = ()
    unit: str = "/s"

    @property
    def figures(self) -> list[float]:
        """Return the figures to compare with the goal, one per round."""
        if not self.peer:
            return list(self.ours)
        return [ours / peer for ours, peer in zip(self.ours, self.peer, strict=True)]

    @property
    def cells(self) -> tuple[str, ...]:
        """Return the line as text, in the order of COLUMNS without its first column."""
        figures, unit = self.figures, self.goal.unit if self.goal else "x"
        return (
            self.measurement,
            format_figure(median(self.ours), self.unit),
            format_figure(median(self.peer), self.unit) if self.peer else "",
            self.against,
            format_figure(median(figures), unit) if self.peer else "",
            f"{format_figure(min(figures))} to {format_figure(max(figures))}",
            str(self.goal or ""),
            self._verdict,
        )

    @property
    def _verdict(self) -> str:
        if self.goal is None:
            return ""
        return "met" if self.goal.is_met_by(median(self.figures)) else "NOT MET"


def format_figure(value: float, unit: str = "") -> str:
    """Return a value with about three significant digits."""
    digits = 1 if value >= 10 else 2
    if value >= 100:
        digits = 0
    return f"{value:,.{digits}f}{_unit_suffix(unit)}"


def _unit_suffix(unit: str) -> str:
    return f" {unit}" if unit.isalpha() and unit != "x" else unit


def render(lines: Iterable[tuple[str, TableLine]]) -> str:
    """Return the lines, each with the name of its row, as a Markdown table with aligned columns."""
    rows = [COLUMNS, *((name, *line.cells) for name, line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, tuple("-" * width for width in widths))
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    )
