"""The measurements: each function is a row of `make bench` and yields one or more lines."""

from collections.abc import Callable, Iterator

from benchmarks.rows import (
    comparisons,
    durations,
    files,
    growing,
    payments,
    processes,
    reading,
    webhooks,
)
from benchmarks.run import Run
from benchmarks.table import TableLine

Row = Callable[[Run], Iterator[TableLine]]
# The rows of `make bench`: less than 25 minutes in total.
DEFAULT: tuple[Row, ...] = (
    comparisons.before,
    comparisons.original,
    comparisons.embedded,
    processes.ceiling,
    comparisons.hot,
    processes.even,
    comparisons.plain,
    processes.scaling,
    processes.far,
    processes.lone,
    processes.slow,
    reading.reads,
    processes.memory,
    processes.start,
    payments.pickup,
    payments.fair,
    payments.settling,
    webhooks.webhooks,
)
# The rows of `make bench-long`: they take ten minutes or more each, or fill large databases.
LONG: tuple[Row, ...] = (
    reading.large,
    reading.pages,
    growing.growth,
    files.imported,
    payments.queued,
    durations.held,
    durations.young,
)
ROWS: dict[str, Row] = {row.__name__: row for row in (*DEFAULT, *LONG, durations.hour)}
