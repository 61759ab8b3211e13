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


def _table(column: Column) -> str:
    return f'"{column._meta.table._meta.tablename}"'


def _values(columns: Sequence[Column], rows: Rows) -> tuple[str, list[Any]]:
    if columns[0]._meta.engine_type == "postgres":
        # A key's own type is the name of a sequence.
        types = ("bigint" if one._meta.primary_key else one.column_type for one in columns)
        arrays = ", ".join(f"{{}}::{one}[]" for one in types)
        by_column = [list(values) for values in zip(*rows, strict=True)]
        return f"SELECT * FROM unnest({arrays})", by_column
    row = f"({', '.join('{}' for _ in columns)})"
    return f"VALUES {', '.join([row] * len(rows))}", [value for row in rows for value in row]


async def insert(
    table: type[Table],
    columns: Sequence[Column],
    rows: Rows,
    *,
    returning: Sequence[Column] = (),
    anew: bool = False,
) -> list[dict[str, Any]]:
    """Insert rows; what is returned of them comes in no particular order.

    Args:
        anew: leave out the rows that are there already, instead of failing.
    """
    if not rows:
        return []
    values, arguments = _values(columns, rows)
    text = f'INSERT INTO "{table._meta.tablename}" ({_names(columns)}) {values}'
    if anew:
        text += " ON CONFLICT DO NOTHING"
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
    name = _name(column)
    await _update(column, by, f"{name} = {_table(column)}.{name} + given.value")


async def enter(
    state: Column, entered: str, *, among: Sequence[str], column: Column, rows: Rows
) -> int:
    """Let rows enter a state from one of others, and write a value of its own into each.

    Each row holds an id and that value. How many entered: the others were in no such state.
    """
    words = ", ".join("{}" for _ in among)
    found = await _update(
        column,
        rows,
        f"{_name(column)} = given.value, {_name(state)} = {{}}",
        f"AND {_table(column)}.{_name(state)} IN ({words})",
        entered,
        *among,
    )
    return len(found)


async def _update(
    column: Column, rows: Rows, what: str, where: str = "", *more: Any
) -> list[dict[str, Any]]:
    if not rows:
        return []
    table, name = column._meta.table, _table(column)
    values, arguments = _values((table._meta.primary_key, column), rows)
    found: list[dict[str, Any]] = await table.raw(
        f"WITH given (id, value) AS ({values}) UPDATE {name} SET {what} FROM given "
        f"WHERE {name}.id = given.id {where} RETURNING {name}.id",
        *arguments,
        *more,
    )
    return found
