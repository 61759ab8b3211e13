"""Many rows in one statement; the one place with raw SQL, and with two dialects of it.

Piccolo builds an object and a query per row, which costs 50 us and more of each; and its DO UPDATE
cannot say `excluded`. Here the text of a statement is made once, and used as it is. On PostgreSQL a
list of rows comes as one array per column, so that the text is the same however many there are.
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
    """A query as the database takes it: Piccolo would look for placeholders in it each time."""

    def __init__(self, text: str, arguments: list[Any]) -> None:
        super().__init__(text)
        self._arguments = arguments

    def compile_string(self, engine_type: str = "postgres") -> tuple[str, list[Any]]:
        return self.template, self._arguments


class Statement:
    """SQL about a list of rows, which its text calls `{rows}`; what comes after them is `{}`.

    Args:
        columns: what each row has a value for.
    """

    def __init__(self, columns: Sequence[Column], text: str) -> None:
        self._columns, self.text, self.width = columns, text, len(columns)

    async def __call__(self, rows: Rows, *more: Any) -> list[dict[str, Any]]:
        """Run it, unless there are no rows; what it returns comes in no particular order."""
        if not rows:
            return []
        if self.takes_arrays:
            text, arguments = self._arrays, [*self.arrays_of(rows), *more]
        else:
            text, arguments = self._lists(len(rows)), [*itertools.chain(*rows), *more]
        return await self.run(text, arguments)

    async def run(self, text: str, arguments: list[Any]) -> list[dict[str, Any]]:
        """Run a text in the database that has its table."""
        engine: Any = self._columns[0]._meta.table._meta.db
        found: list[dict[str, Any]] = await engine.run_querystring(_Final(text, arguments))
        return found

    @property
    def takes_arrays(self) -> bool:
        """Whether it is about a table in PostgreSQL."""
        return self._columns[0]._meta.engine_type == "postgres"

    @cached_property
    def _arrays(self) -> str:
        return self.with_arrays(1)

    def arrays_of(self, rows: Rows) -> list[list[Any]]:
        """The values of each column, also where there are none."""
        return [list(values) for values in zip(*rows, strict=True)] or [[] for _ in self._columns]

    def with_arrays(self, first: int) -> str:
        """The text for PostgreSQL, whose placeholders begin with this number."""
        # A key's own type is the name of a sequence.
        types = ["bigint" if one._meta.primary_key else one.column_type for one in self._columns]
        arrays = ", ".join(f"${n}::{one}[]" for n, one in enumerate(types, start=first))
        after = (f"${n}" for n in range(first + len(types), 100))
        return self.text.format(*after, rows=f"SELECT * FROM unnest({arrays})")

    def _lists(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return self.text.format(*"?" * 100, rows=f"VALUES {', '.join([row] * count)}")


Asked = tuple[Statement, Rows]


async def together(*asked: Asked) -> list[dict[str, Any]]:
    """Run statements of which none needs what another did; returned is what the last one returns.

    On PostgreSQL they are parts of one, and cost one trip instead of one each: there, too, locks
    are always taken in the same order.
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
    """Insert rows.

    Args:
        anew: leave out the rows that are there already, instead of failing.
        at: one more column, and the SQL that says its value.
    """
    names, rows = _names(columns), "{rows}"
    if at is not None:
        names = _names((*columns, at[0]))
        # SQLite would take what follows for the condition of a join, if there was no WHERE.
        rows = f"SELECT given.*, {at[1]} FROM ({{rows}}) AS given WHERE true"
    text = f'INSERT INTO "{table._meta.tablename}" ({names}) {rows}'
    if anew:
        text += " ON CONFLICT DO NOTHING"
    if returning:
        text += f" RETURNING {_names(returning)}"
    return Statement(columns, text)


class InsertListed:
    """Insert rows, and a list of their ids in a column of another table.

    Args:
        column: of that table; it is JSON.
        by: by what the list is sorted before the ids.
    """

    def __init__(self, columns: Sequence[Column], *, by: Column, column: Column) -> None:
        table = columns[0]._meta.table
        key = table._meta.primary_key
        self._rows = insert(table, columns, returning=(key, by))
        self._list = insert(column._meta.table, (column,))
        # A trip less, on the way of every order; SQLite has no such statement, and needs none.
        self._both = Statement(
            columns,
            f"WITH written AS ({self._rows.text}) INSERT INTO {_table(column)} ({_name(column)}) "
            f"SELECT json_agg({_name(key)} ORDER BY {_name(by)}, {_name(key)}) FROM written",
        )
        self._by, self._key = by._meta.name, key._meta.name

    async def __call__(self, rows: Rows) -> None:
        """Do it, unless there are no rows."""
        if self._both.takes_arrays or not rows:
            await self._both(rows)
            return
        written = await self._rows(rows)
        written.sort(key=lambda row: (row[self._by], row[self._key]))
        await self._list([(json.dumps([row[self._key] for row in written]),)])


def add(table: type[Table], *, keys: Sequence[Column], sums: Sequence[Column]) -> Statement:
    """Add to counters, making the ones that are missing.

    Each row holds the keys' values, then what is added to each sum. No two have the same keys, and
    they are sorted, so that two transactions take the locks in the same order.
    """
    name, columns = f'"{table._meta.tablename}"', (*keys, *sums)
    updates = (f"{_name(one)} = {name}.{_name(one)} + excluded.{_name(one)}" for one in sums)
    return Statement(
        columns,
        f"INSERT INTO {name} ({_names(columns)}) {{rows}} "
        f"ON CONFLICT ({_names(keys)}) DO UPDATE SET {', '.join(updates)}",
    )


def move(column: Column) -> Statement:
    """Add to a column of the rows with these ids, which the transaction holds already."""
    name = _name(column)
    return _update(column, f"{name} = {_table(column)}.{name} + given.value")


def put(column: Column) -> Statement:
    """Write a value of its own into a column of each row, which the transaction holds already."""
    return _update(column, f"{_name(column)} = given.value", returning="")


def enter(state: Column, entered: str, *, among: Sequence[str], column: Column) -> Statement:
    """Let rows enter a state from one of others, and write a value of its own into each.

    Each row holds an id and that value. Returned are those that entered: the others were in no
    such state.
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
