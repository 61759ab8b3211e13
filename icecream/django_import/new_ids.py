"""The ids of imported rows: those of the original, where they were never given out here."""

from collections.abc import Sequence

from icecream import database
from icecream.django_import.report import Kind
from icecream.tables import Flavor, Order, User

TABLES: dict[Kind, type[User] | type[Flavor] | type[Order]] = {
    "user": User,
    "flavor": Flavor,
    "order": Order,
}
# The ids here, by the ids in the original.
Ids = dict[int, int]


class NewIds:
    """The ids for new rows of a table: the original's where possible, else unused ones."""

    def __init__(self, kind: Kind) -> None:
        self._table = TABLES[kind]
        self._given_up_to = self._last = 0

    async def begin(self, largest_there: int) -> None:
        """Keep all ids up to the largest one of the original for this import.

        On PostgreSQL, the sequence moves on at once, and stays there if this transaction fails. So
        no other transaction gets one of these ids. SQLite has only one writer.
        """
        name = self._table._meta.tablename
        last = "0"
        if isinstance(database.DB, database.Postgres):
            last = f"COALESCE(pg_sequence_last_value('{name}_id_seq'), 0)"
        # A row that was written without the sequence counts too.
        (row,) = await self._table.raw(
            f'SELECT {last} AS given, COALESCE(max(id), 0) AS stored FROM "{name}"'
        )
        self._given_up_to = max(row["given"], row["stored"])
        self._last = max(self._given_up_to, largest_there)
        if last != "0" and self._last > row["given"]:
            await self._table.raw(f"SELECT setval('{name}_id_seq', {self._last})")

    async def give(self, source_ids: Sequence[int]) -> Ids:
        """Return the new ids of these rows."""
        others = [one for one in source_ids if one <= self._given_up_to]
        return {one: one for one in source_ids} | dict(
            zip(others, await self._unused(len(others)), strict=True)
        )

    async def _unused(self, count: int) -> Sequence[int]:
        if isinstance(database.DB, database.Postgres):
            rows = await database.new_ids(self._table)([(count,)]) if count else []
            return [row["id"] for row in rows]
        self._last += count
        return range(self._last - count + 1, self._last + 1)
