"""The database of the original service, which is only read: SQLite, or PostgreSQL.

Django names a table after its app and its model, and an installation may use names of its own. So
the tables are found by their columns.
"""

import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import asyncpg
from msgspec import Struct, convert

USER_COLUMNS = (
    *("id", "username", "password", "email", "is_active", "is_staff", "is_superuser"),
    "last_login",
)
FLAVOR_COLUMNS = ("id", "name")
ORDER_COLUMNS = ("id", "user_id", "flavor_id", "quantity", "status", "created_at")
T = TypeVar("T", bound=Struct)
# The rows of one query: a million orders must not be in memory at once.
ORDERS_PER_QUERY = 1000
TIMES = {"last_login", "created_at"}
POSTGRES_PREFIXES = ("postgresql://", "postgres://")


class SourceUser(Struct, frozen=True):
    """An account of the original."""

    id: int
    username: str
    password: str
    email: str | None
    is_active: bool
    is_staff: bool
    is_superuser: bool
    last_login: datetime | None


class SourceFlavor(Struct, frozen=True):
    """A flavor of the original, which had no prices."""

    id: int
    name: str


class SourceOrder(Struct, frozen=True):
    """An order of the original: a quantity of one flavor."""

    id: int
    user: int
    flavor: int
    quantity: int
    status: str
    created_at: datetime


class Connection(Protocol):
    """A connection to one of the two databases; `columns_query` finds all (table, column)."""

    columns_query: ClassVar[str]

    async def rows(self, query: str) -> list[Sequence[Any]]:
        """Return the rows of a query."""


class _Sqlite:
    columns_query: ClassVar[str] = (
        "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c"
        " WHERE t.type = 'table'"
    )

    def __init__(self, path: Path) -> None:
        # Such a connection cannot write, not even create the file.
        self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)

    async def rows(self, query: str) -> list[Sequence[Any]]:
        return self._connection.execute(query).fetchall()

    def close(self) -> None:
        self._connection.close()


class _Postgres:
    columns_query: ClassVar[str] = (
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = ANY (current_schemas(false))"
    )

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def rows(self, query: str) -> list[Sequence[Any]]:
        rows: list[Sequence[Any]] = await self._connection.fetch(query)
        return rows


class Source:
    """The three tables of the original."""

    def __init__(self, connection: Connection, users: str, flavors: str, orders: str) -> None:
        self._connection = connection
        self._users, self._flavors, self._orders = users, flavors, orders

    async def read_users(self) -> list[SourceUser]:
        """Return all accounts, by their ids."""
        rows = await self._connection.rows(_select(self._users, USER_COLUMNS))
        return [_convert(row, SourceUser) for row in rows]

    async def read_flavors(self) -> list[SourceFlavor]:
        """Return all flavors, by their ids."""
        rows = await self._connection.rows(_select(self._flavors, FLAVOR_COLUMNS))
        return [_convert(row, SourceFlavor) for row in rows]

    async def count_orders(self) -> tuple[int, int]:
        """Return the number of orders, and their largest id; 0 without orders."""
        query = f'SELECT count(*), max(id) FROM "{self._orders}"'  # nosec B608  # a table's name
        ((count, largest),) = await self._connection.rows(query)
        return count, largest or 0

    async def read_orders(self) -> AsyncIterator[list[SourceOrder]]:
        """Yield all orders by their ids, in batches."""
        last = 0
        while True:
            end = f"WHERE id > {last} ORDER BY id LIMIT {ORDERS_PER_QUERY}"
            rows = await self._connection.rows(_select(self._orders, ORDER_COLUMNS, end))
            if not rows:
                return
            last = rows[-1][0]
            yield [_convert(row, SourceOrder) for row in rows]


def _select(table: str, columns: Sequence[str], end: str = "ORDER BY id") -> str:
    names = ", ".join(f'"{column}"' for column in columns)
    return f'SELECT {names} FROM "{table}" {end}'  # nosec B608  # names of tables and columns


def _convert(row: Sequence[Any], kind: type[T]) -> T:
    values = dict(zip(kind.__struct_fields__, row, strict=True))
    for name in TIMES & values.keys():
        values[name] = _to_time(values[name])
    # SQLite has 0 and 1 for truth values.
    return convert(values, kind, strict=False)


def _to_time(value: datetime | str | None) -> datetime | None:
    """Return a time with its zone: SQLite has it as text, in UTC."""
    if value is None:
        return None
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _open_file(path: Path) -> _Sqlite:
    if not path.is_file():
        raise ValueError(f"there is no file {path}.")
    return _Sqlite(path)


@asynccontextmanager
async def open_source(address: str) -> AsyncIterator[Source]:
    """Open the database of the original, for reading only.

    Args:
        address: the path of a SQLite file, or a URL that begins with `postgresql://`.

    Raises:
        ValueError: there is no such file, or the database has no such tables.
    """
    if address.startswith(POSTGRES_PREFIXES):
        connection = await asyncpg.connect(address)
        try:
            # All queries see the same rows.
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield await _find_tables(_Postgres(connection))
        finally:
            await connection.close()
        return
    file = _open_file(Path(address.removeprefix("sqlite:///")))
    try:
        yield await _find_tables(file)
    finally:
        file.close()


async def _find_tables(connection: Connection) -> Source:
    tables = defaultdict[str, set[str]](set)
    for table, column in await connection.rows(connection.columns_query):
        tables[table].add(column)
    users = _find_table(tables, "users", "auth_user", USER_COLUMNS)
    flavors = _find_table(tables, "flavors", "flavor", FLAVOR_COLUMNS)
    orders = _find_table(tables, "orders", "order", ORDER_COLUMNS)
    return Source(connection, users, flavors, orders)


def _find_table(tables: dict[str, set[str]], what: str, ending: str, columns: Sequence[str]) -> str:
    found = [
        table
        for table, names in tables.items()
        if table.lower().removesuffix("s").endswith(ending) and names.issuperset(columns)
    ]
    if len(found) != 1:
        raise ValueError(
            f"this is no database of the original service: it has {len(found)} tables of {what} "
            f"with the columns {', '.join(columns)}."
        )
    return found[0]
