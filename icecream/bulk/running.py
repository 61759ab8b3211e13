"""One import: the rows of a file in batches, with a result for each row."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Any, BinaryIO

from msgspec import Struct

from icecream import errors
from icecream.bulk import catalogue, customers, orders, reading, stock
from icecream.bulk.kinds import Kind, RowOutcome
from icecream.orders.placing import PlacedOrder
from icecream.tables import User

# In the order in which an empty installation imports them.
KINDS = {
    kind.name: kind
    for kind in (
        catalogue.FLAVORS,
        catalogue.PRICES,
        customers.CUSTOMERS,
        stock.STOCK,
        orders.ORDERS,
    )
}
# Faulty rows have no weight in the database.
MAX_BATCH_ROWS = 1000
REFUSED = "refused"
RESULTS = ("created", "updated", "unchanged", "skipped", REFUSED)


class RowResult(Struct, omit_defaults=True):
    """The result for a row: the id of what it is about, or why it was refused."""

    row: int
    result: str
    id: int | None = None
    pointer: str | None = None
    code: str | None = None
    detail: str | None = None


class Summary(Struct):
    """The numbers of rows, in total and by their results."""

    rows: int
    created: int
    updated: int
    unchanged: int
    skipped: int
    refused: int
    dry_run: bool


class Import:
    """The import of one file.

    Args:
        by: the user who imports, or None for the command line.
        dry_run: find the results, and change nothing. Rows do not see what earlier rows of the file
            would have changed, except in the same batch.
        on_placed: called after the commit with the outcomes of new orders.
    """

    def __init__(
        self,
        file: BinaryIO,
        kind: Kind,
        file_format: reading.Format,
        *,
        by: User | None = None,
        dry_run: bool = False,
        on_placed: Callable[[Sequence[PlacedOrder]], None] = lambda placed: None,
    ) -> None:
        self._kind, self._by, self._dry_run, self._on_placed = kind, by, dry_run, on_placed
        self._read: Callable[[], Iterator[reading.FileRow]] = lambda: reading.read_rows(
            file, kind, file_format
        )
        self._counts = Counter[str]()

    async def check(self) -> int:
        """Read the whole file, so that nothing is imported if it cannot be read; count its rows.

        Raises:
            errors.ValidationFailed: it cannot be read; the error points at the row and the column.
        """
        return await asyncio.to_thread(lambda: sum(1 for _ in self._read()))

    @property
    def summary(self) -> Summary:
        """The results so far."""
        counts = {name: self._counts[name] for name in RESULTS}
        return Summary(rows=self._counts.total(), **counts, dry_run=self._dry_run)

    async def run(self) -> AsyncGenerator[list[RowResult], None]:
        """Import the rows, and yield their results after each commit."""
        batches = self._batches()
        # Reading a batch may take long: a file may have any number of empty or faulty rows.
        while (batch := await asyncio.to_thread(next, batches, None)) is not None:
            results = await self._import(batch)
            self._counts.update(one.result for one in results)
            yield results

    def _batches(self) -> Iterator[list[reading.FileRow]]:
        """Yield the rows in batches."""
        batch: list[reading.FileRow] = []
        used, weight = set[tuple[str, Any]](), 0
        for row in self._read():
            names = {(name, getattr(row.value, name, None)) for name in self._kind.unique}
            names = {(name, value) for name, value in names if isinstance(value, str)}
            is_full = weight + row.weight > self._kind.rows_at_once or len(batch) >= MAX_BATCH_ROWS
            if batch and (is_full or names & used):
                yield batch
                batch, used, weight = [], set(), 0
            batch.append(row)
            used |= names
            weight += row.weight
        if batch:
            yield batch

    async def _import(self, batch: Sequence[reading.FileRow]) -> list[RowResult]:
        valid = [row for row in batch if row.problem is None]
        outcomes = await self._apply([row.value for row in valid]) if valid else []
        if not self._dry_run:
            done = [one for one in outcomes if isinstance(one, RowOutcome)]
            self._on_placed([one.placed for one in done if one.placed])
        left = iter(outcomes)
        return [_to_result(row, row.problem or next(left), self._dry_run) for row in batch]

    async def _apply(self, rows: Sequence[Any]) -> Sequence[RowOutcome | Exception]:
        """Import rows together; if one of them is refused, its neighbours are imported alone."""
        try:
            return await self._kind.apply(rows, self._by, dry_run=self._dry_run)
        except errors.Refusal as refusal:
            if len(rows) == 1:
                return [refusal]
        half = len(rows) // 2
        return [*await self._apply(rows[:half]), *await self._apply(rows[half:])]


def _to_result(row: reading.FileRow, outcome: RowOutcome | Exception, dry_run: bool) -> RowResult:
    if isinstance(outcome, RowOutcome):
        # A dry run creates nothing that could have an id.
        id_ = None if dry_run and outcome.result == "created" else outcome.id
        return RowResult(row.numbers[0], outcome.result, id_)
    if not isinstance(outcome, errors.Refusal):
        raise outcome
    (error, *_) = outcome.members.get("errors") or [
        {"pointer": "", "code": outcome.code, "detail": outcome.detail}
    ]
    return RowResult(row.number_of(error["pointer"]), REFUSED, None, **error)
