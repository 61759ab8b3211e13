"""The measurements: each function is a row of `make bench` and yields one or more lines."""

from collections.abc import Callable, Iterator

from benchmarks.rows import comparisons, durations, growing, payments, processes, reading
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
    reading.reads,
    processes.memory,
    processes.start,
    payments.pickup,
    payments.fair,
    payments.settling,
)
# The rows of `make bench-long`: they take ten minutes or more each, or fill large databases.
LONG: tuple[Row, ...] = (
    reading.large,
    growing.growth,
    payments.queued,
    durations.held,
    durations.young,
)
ROWS: dict[str, Row] = {row.__name__: row for row in (*DEFAULT, *LONG, durations.hour)}
