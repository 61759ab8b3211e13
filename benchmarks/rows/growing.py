"""The row `growth`: what operations cost with ever more orders in the database."""

from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

from benchmarks import databases
from benchmarks.chart import Panel
from benchmarks.rows.payments import MAX_SETTLING_FACTOR, measure_worker
from benchmarks.rows.reading import filled
from benchmarks.run import CONNECTIONS, Run
from benchmarks.service import Service
from benchmarks.table import TableLine, format_figure

SMALLEST = 10_000
UNITS = {
    "orders": "/s",
    "settled": "/s",
    "stats": "ms",
    "page of 50": "ms",
    "memory": "MB",
    "database": "MB",
}


def growth(run: Run) -> Iterator[TableLine]:
    """Measure with 10,000 orders in the database, with ten times as many, and so on."""
    found = dict[int, dict[str, list[float]]]()
    size = SMALLEST
    while size <= run.orders:
        with filled(run, size, delay="0") as service:
            megabytes = databases.size(service.database)
            measured = run.measure_in_turns(
                **{
                    f"{name.replace(' ', '_')}_with_{size}": measure
                    for name, measure in _measurements(run, service).items()
                }
            )
        found[size] = dict(zip(UNITS, [*measured, [megabytes] * run.rounds], strict=True))
        size *= 10
    *_, largest = found
    for name, unit in UNITS.items():
        medians = [(size, median(figures[name])) for size, figures in found.items()]
        run.panels.append(Panel(f"{name}, {unit}", unit, medians))
        steps = ", ".join(f"{format_figure(value, unit)} at {size:,}" for size, value in medians)
        run.notes.append(f"`growth`: {name}: {steps}")
        yield TableLine(
            f"{name}, {largest:,} orders",
            None,
            found[largest][name],
            f"{SMALLEST:,} orders",
            found[SMALLEST][name],
            unit=unit,
        )


def _measurements(run: Run, service: Service) -> dict[str, Callable[[], float]]:
    return {
        "orders": lambda: service.orders(CONNECTIONS, run.seconds).rate,
        "settled": partial(measure_worker, service, MAX_SETTLING_FACTOR * run.seconds),
        "stats": lambda: service.get("/api/stats/", 1, run.seconds).p50,
        "page of 50": lambda: service.get("/api/orders/?limit=50", 1, run.seconds).p50,
        "memory": service.memory,
    }
