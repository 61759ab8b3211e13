"""The lengths of a run, and measurements in turns."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.chart import Panel
from benchmarks.load import Load
from benchmarks.table import Goal

T = TypeVar("T")
# The number of connections, unless a row uses another one.
CONNECTIONS = 64
MANY_CONNECTIONS = 256


@dataclass(frozen=True)
class Run:
    """The number of rounds and the lengths of the measurements, in seconds and in rows.

    Args:
        seconds: the length of one measurement.
        long_seconds: how long `held` holds its snapshot, and the length of `young`.
        hour_seconds: the length of `hour`.
        orders: the number of orders in the largest database.
        jobs: the number of due jobs in the long queue.
        report: shows the progress.
        notes: explanations that a row adds to the table.
        panels: charts that a row adds.
    """

    rounds: int
    seconds: float
    long_seconds: float
    hour_seconds: float
    orders: int
    jobs: int
    report: Callable[[str], None] = lambda step: None
    notes: list[str] = field(default_factory=list)
    panels: list[Panel] = field(default_factory=list)

    def measure_in_turns(self, **measurements: Callable[[], T]) -> list[list[T]]:
        """Measure everything in turns, once per round, so that a slow period affects all of it."""
        found: dict[str, list[T]] = {name: [] for name in measurements}
        for n in range(self.rounds):
            for name, measure in measurements.items():
                self.report(f"round {n + 1} of {self.rounds}, {name}")
                found[name].append(measure())
        return list(found.values())


def rates(loads: list[Load]) -> list[float]:
    """Return the answers per second."""
    return [load.rate for load in loads]


def at_least(bound: float, unit: str = "x") -> Goal:
    """Return a goal for figures that should be large."""
    return Goal(">=", bound, unit)


def at_most(bound: float, unit: str = "x") -> Goal:
    """Return a goal for figures that should be small."""
    return Goal("<=", bound, unit)
