"""Statements about many rows; the only place with raw SQL, in two dialects.

Piccolo builds an object and a query per row, each of which costs 50 us or more, and its DO UPDATE
cannot use `excluded`. Here the text of a statement is built once and then reused. On PostgreSQL a
list of rows is sent as one array per column, so the text is the same for any number of rows.
"""

import itertools
import json
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

from piccolo.columns import Column
from piccolo.querystring import QueryString
from piccolo.table import Table

Rows = Sequence[tuple[Any, ...]]


class _Final(QueryString):
    """A query that is sent unchanged; Piccolo would search its text for placeholders each time."""

    def __init__(self, text: str, arguments: list[Any]) -> None:
        super().__init__(text)
        self._arguments = arguments

    def compile_string(self, engine_type: str = "postgres") -> tuple[str, list[Any]]:
        return self.template, self._arguments


class Statement:
    """SQL about a list of rows, which its text calls `{rows}`; each further argument is `{}`.

    Args:
        columns: the columns for which each row has a value.
    """

    def __init__(self, columns: Sequence[Column], text: str) -> None:
        self._columns, self.text, self.width = columns, text, len(columns)

    async def __call__(self, rows: Rows, *more: Any) -> list[dict[str, Any]]:
        """Run the statement, unless there are no rows; the result has no particular order."""
        if not rows:
            return []
        if self.takes_arrays:
            text, arguments = self._arrays, [*self.arrays_of(rows), *more]
        else:
            text, arguments = self._lists(len(rows)), [*itertools.chain(*rows), *more]
        return await self.run(text, arguments)

    async def run(self, text: str, arguments: list[Any]) -> list[dict[str, Any]]:
        """Run a text in the database of the statement's table."""
        engine: Any = self._columns[0]._meta.table._meta.db
        found: list[dict[str, Any]] = await engine.run_querystring(_Final(text, arguments))
        return found

    @property
    def takes_arrays(self) -> bool:
        """Whether the table is in PostgreSQL."""
        return self._columns[0]._meta.engine_type == "postgres"

    @cached_property
    def _arrays(self) -> str:
        return self.with_arrays(1)

    def arrays_of(self, rows: Rows) -> list[list[Any]]:
        """Return one list of values per column; empty lists if there are no rows."""
        return [list(values) for values in zip(*rows, strict=True)] or [[] for _ in self._columns]

    def with_arrays(self, first: int) -> str:
        """Return the text for PostgreSQL, with placeholders that start at the number `first`."""
        # The column type of a primary key is the name of a sequence, so it is replaced.
        types = ["bigint" if one._meta.primary_key else one.column_type for one in self._columns]
        arrays = ", ".join(f"${n}::{one}[]" for n, one in enumerate(types, start=first))
        after = (f"${n}" for n in range(first + len(types), 100))
        return self.text.format(*after, rows=f"SELECT * FROM unnest({arrays})")

    def _lists(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return self.text.format(*"?" * 100, rows=f"VALUES {', '.join([row] * count)}")


Asked = tuple[Statement, Rows]


async def together(*asked: Asked) -> list[dict[str, Any]]:
    """Run independent statements and return the result of the last one.

    On PostgreSQL they become parts of one statement, which needs one round trip in total. Locks
    are always taken in the same order there, too.
    """
    (*_, (last, _)) = asked
    if not any(rows for _, rows in asked):
        return []
    if last.takes_arrays:
        arguments = [values for statement, rows in asked for values in statement.arrays_of(rows)]
        return await last.run(_joined(tuple(statement for statement, _ in asked)), arguments)
    for statement, rows in asked:
        found = await statement(rows)
    return found


@cache
def _joined(statements: tuple[Statement, ...]) -> str:
    texts, first = [], 1
    for one in statements:
        texts.append(one.with_arrays(first))
        first += one.width
    parts = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(texts[:-1]))
    return f"WITH {parts} {texts[-1]}" if parts else texts[-1]


def _name(column: Column) -> str:
    return f'"{column._meta.db_column_name}"'


def _names(columns: Sequence[Column]) -> str:
    return ", ".join(map(_name, columns))


def _table(column: Column) -> str:
    return f'"{column._meta.table._meta.tablename}"'


def insert(
    table: type[Table],
    columns: Sequence[Column],
    *,
    returning: Sequence[Column] = (),
    anew: bool = False,
    at: tuple[Column, str] | None = None,
) -> Statement:
    """Return a statement that inserts rows.

    Args:
        anew: skip rows that exist already, instead of failing.
        at: one more column, and the SQL expression for its value.
    """
    names, rows = _names(columns), "{rows}"
    if at is not None:
        names = _names((*columns, at[0]))
        # Without a WHERE, SQLite would parse the ON CONFLICT that follows as a join condition.
        rows = f"SELECT given.*, {at[1]} FROM ({{rows}}) AS given WHERE true"
    text = f'INSERT INTO "{table._meta.tablename}" ({names}) {rows}'
    if anew:
        text += " ON CONFLICT DO NOTHING"
    if returning:
        text += f" RETURNING {_names(returning)}"
    return Statement(columns, text)


class InsertListed:
    """Insert rows, and write a list of their ids into a column of another table.

    Args:
        column: the JSON column of that table.
        by: the column by which the list is sorted, before the ids.
    """

    def __init__(self, columns: Sequence[Column], *, by: Column, column: Column) -> None:
        table = columns[0]._meta.table
        key = table._meta.primary_key
        self._rows = insert(table, columns, returning=(key, by))
        self._list = insert(column._meta.table, (column,))
        # Saves one round trip per order. SQLite has no such statement, and needs none.
        self._both = Statement(
            columns,
            f"WITH written AS ({self._rows.text}) INSERT INTO {_table(column)} ({_name(column)}) "
            f"SELECT json_agg({_name(key)} ORDER BY {_name(by)}, {_name(key)}) FROM written",
        )
        self._by, self._key = by._meta.name, key._meta.name

    async def __call__(self, rows: Rows) -> None:
        """Insert the rows, unless there are none."""
        if self._both.takes_arrays or not rows:
            await self._both(rows)
            return
        written = await self._rows(rows)
        written.sort(key=lambda row: (row[self._by], row[self._key]))
        await self._list([(json.dumps([row[self._key] for row in written]),)])


def add(table: type[Table], *, keys: Sequence[Column], sums: Sequence[Column]) -> Statement:
    """Return a statement that adds to counters, and creates missing ones.

    Each row holds the values of the keys, then the amount to add to each sum. No two rows may have
    the same keys. Rows must be sorted, so that two transactions take their locks in the same order.
    """
    name, columns = f'"{table._meta.tablename}"', (*keys, *sums)
    updates = (f"{_name(one)} = {name}.{_name(one)} + excluded.{_name(one)}" for one in sums)
    return Statement(
        columns,
        f"INSERT INTO {name} ({_names(columns)}) {{rows}} "
        f"ON CONFLICT ({_names(keys)}) DO UPDATE SET {', '.join(updates)}",
    )


def move(column: Column) -> Statement:
    """Return a statement that adds to a column of the rows with these ids.

    The transaction must hold locks on the rows.
    """
    name = _name(column)
    return _update(column, f"{name} = {_table(column)}.{name} + given.value")


def put(column: Column) -> Statement:
    """Return a statement that writes a separate value into a column of each row.

    The transaction must hold locks on the rows.
    """
    return _update(column, f"{_name(column)} = given.value", returning="")


def enter(state: Column, entered: str, *, among: Sequence[str], column: Column) -> Statement:
    """Return a statement that moves rows into a state, and writes a separate value into each.

    Each row holds an id and that value. Only rows whose state is `among` the given ones are
    changed, and only their ids are returned.
    """
    words = ", ".join(f"'{word}'" for word in among)
    return _update(
        column,
        f"{_name(column)} = given.value, {_name(state)} = '{entered}'",
        f"AND {_table(column)}.{_name(state)} IN ({words})",
    )


def _update(
    column: Column, what: str, where: str = "", *, returning: str = "RETURNING {}.id"
) -> Statement:
    name = _table(column)
    return Statement(
        (column._meta.table._meta.primary_key, column),
        f"WITH given (id, value) AS ({{rows}}) UPDATE {name} SET {what} FROM given "
        f"WHERE {name}.id = given.id {where} {returning.format(name)}",
    )
