"""Many rows in one statement; the one place with raw SQL, and with two dialects of it.

Piccolo builds an object and a query per row, which costs 50 us and more of each; and its DO UPDATE
cannot say `excluded`. On PostgreSQL a list of rows comes as one array per column, so that the text
is the same however many there are, and is prepared once.
"""

from collections.abc import Sequence
from typing import Any

from piccolo.columns import Column
from piccolo.table import Table

Rows = Sequence[tuple[Any, ...]]


def _name(column: Column) -> str:
    return f'"{column._meta.db_column_name}"'


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(map(_name, columns))


def _values(columns: Sequence[Column], rows: Rows) -> tuple[str, list[Any]]:
    if columns[0]._meta.engine_type == "postgres":
        arrays = ", ".join(f"{{}}::{column.column_type}[]" for column in columns)
        return f"SELECT * FROM unnest({arrays})", [
            list(values) for values in zip(*rows, strict=True)
        ]
    row = f"({', '.join('{}' for _ in columns)})"
    return f"VALUES {', '.join([row] * len(rows))}", [value for row in rows for value in row]


async def insert(
    table: type[Table],
    columns: Sequence[Column],
    rows: Rows,
    *,
    returning: Sequence[Column] = (),
) -> list[dict[str, Any]]:
    """Insert rows; what is returned of them comes in no particular order."""
    if not rows:
        return []
    values, arguments = _values(columns, rows)
    text = f'INSERT INTO "{table._meta.tablename}" ({_names(columns)}) {values}'
    if returning:
        text += f" RETURNING {_names(returning)}"
    found: list[dict[str, Any]] = await table.raw(text, *arguments)
    return found


async def add(
    table: type[Table], *, keys: Sequence[Column], sums: Sequence[Column], rows: Rows
) -> None:
    """Add to counters, making the ones that are missing.

    Each row holds the keys' values, then what is added to each sum. No two have the same keys, and
    they are sorted, so that two transactions take the locks in the same order.
    """
    if not rows:
        return
    values, arguments = _values((*keys, *sums), rows)
    name = f'"{table._meta.tablename}"'
    updates = (f"{_name(one)} = {name}.{_name(one)} + excluded.{_name(one)}" for one in sums)
    await table.raw(
        f"INSERT INTO {name} ({_names((*keys, *sums))}) {values} "
        f"ON CONFLICT ({_names(keys)}) DO UPDATE SET {', '.join(updates)}",
        *arguments,
    )


async def move(column: Column, by: Sequence[tuple[int, int]]) -> None:
    """Add to a column of the rows with these ids, which the transaction holds already."""
    if not by:
        return
    table = column._meta.table
    values, arguments = _values((column, column), by)
    name = f'"{table._meta.tablename}"'
    await table.raw(
        f"WITH moved (id, by) AS ({values}) UPDATE {name} "
        f"SET {_name(column)} = {name}.{_name(column)} + moved.by "
        f"FROM moved WHERE {name}.id = moved.id",
        *arguments,
    )
