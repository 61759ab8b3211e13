"""Statements about many rows; the only place with raw SQL, in two dialects.

Piccolo builds an object and a query per row, which costs 50 us or more, and its DO UPDATE
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


class _RawQuery(QueryString):
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
        postgres: another text for PostgreSQL; `{arrays[0]}` is the list of the first column.
    """

    def __init__(self, columns: Sequence[Column], text: str, *, postgres: str = "") -> None:
        self._columns, self.text, self.width = columns, text, len(columns)
        self._postgres_text = postgres or text

    async def __call__(self, rows: Rows, *arguments: Any) -> list[dict[str, Any]]:
        """Run the statement, unless there are no rows; the result has no particular order."""
        if not rows:
            return []
        if self.is_postgres:
            return await self.run(self._text_with_arrays, [*self.to_arrays(rows), *arguments])
        values = [*itertools.chain(*rows), *arguments]
        return await self.run(self._text_with_values(len(rows)), values)

    async def run(self, text: str, arguments: list[Any]) -> list[dict[str, Any]]:
        """Run a text in the database of the statement's table."""
        engine: Any = self._columns[0]._meta.table._meta.db
        result: list[dict[str, Any]] = await engine.run_querystring(_RawQuery(text, arguments))
        return result

    @property
    def is_postgres(self) -> bool:
        """Whether the table is in PostgreSQL."""
        return self._columns[0]._meta.engine_type == "postgres"

    @cached_property
    def _text_with_arrays(self) -> str:
        return self.with_arrays(1)

    def to_arrays(self, rows: Rows) -> list[list[Any]]:
        """Return one list of values per column; empty lists if there are no rows."""
        return [list(values) for values in zip(*rows, strict=True)] or [[] for _ in self._columns]

    def with_arrays(self, first: int) -> str:
        """Return the text for PostgreSQL, with placeholders that start at the number `first`."""
        # The column type of a primary key is the name of a sequence, so it is replaced.
        types = [
            "bigint" if column._meta.primary_key else column.column_type for column in self._columns
        ]
        arrays = [f"${n}::{name}[]" for n, name in enumerate(types, start=first)]
        further = (f"${n}" for n in range(first + len(types), 100))
        rows = f"SELECT * FROM unnest({', '.join(arrays)})"
        return self._postgres_text.format(*further, rows=rows, arrays=arrays)

    def _text_with_values(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return self.text.format(*"?" * 100, rows=f"VALUES {', '.join([row] * count)}")


BoundStatement = tuple[Statement, Rows]


async def run_together(*bound: BoundStatement) -> list[dict[str, Any]]:
    """Run independent statements and return the result of the last one.

    On PostgreSQL they become parts of one statement, which needs one round trip in total. Locks
    are always taken in the same order there, too.
    """
    (*_, (last, _)) = bound
    if not any(rows for _, rows in bound):
        return []
    if last.is_postgres:
        arguments = [values for statement, rows in bound for values in statement.to_arrays(rows)]
        return await last.run(
            _join_statements(tuple(statement for statement, _ in bound)), arguments
        )
    for statement, rows in bound:
        result = await statement(rows)
    return result


@cache
def _join_statements(statements: tuple[Statement, ...]) -> str:
    texts, first = [], 1
    for statement in statements:
        texts.append(statement.with_arrays(first))
        first += statement.width
    parts = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(texts[:-1]))
    return f"WITH {parts} {texts[-1]}" if parts else texts[-1]


def _quote_column(column: Column) -> str:
    return f'"{column._meta.db_column_name}"'


def _quote_columns(columns: Sequence[Column]) -> str:
    return ", ".join(map(_quote_column, columns))


def _quote_table(column: Column) -> str:
    return f'"{column._meta.table._meta.tablename}"'


def insert(
    table: type[Table],
    columns: Sequence[Column],
    *,
    returning: Sequence[Column] = (),
    skip_existing: bool = False,
    computed: tuple[Column, str] | None = None,
) -> Statement:
    """Return a statement that inserts rows.

    Args:
        skip_existing: skip rows that exist already, instead of failing.
        computed: one more column, and the SQL expression for its value.
    """
    names, rows = _quote_columns(columns), "{rows}"
    if computed is not None:
        names = _quote_columns((*columns, computed[0]))
        # Without a WHERE, SQLite would parse the ON CONFLICT that follows as a join condition.
        rows = f"SELECT new_rows.*, {computed[1]} FROM ({{rows}}) AS new_rows WHERE true"
    text = f'INSERT INTO "{table._meta.tablename}" ({names}) {rows}'
    if skip_existing:
        text += " ON CONFLICT DO NOTHING"
    if returning:
        text += f" RETURNING {_quote_columns(returning)}"
    return Statement(columns, text)


class InsertWithIdList:
    """Insert rows, and write a list of their ids into a column of another table.

    Args:
        list_column: the JSON column of that table.
        sort_by: the column by which the list is sorted, before the ids.
    """

    def __init__(self, columns: Sequence[Column], *, sort_by: Column, list_column: Column) -> None:
        table = columns[0]._meta.table
        key = table._meta.primary_key
        self._insert_rows = insert(table, columns, returning=(key, sort_by))
        self._insert_list = insert(list_column._meta.table, (list_column,))
        # Saves one round trip per order. SQLite has no such statement, and needs none.
        self._insert_both = Statement(
            columns,
            f"WITH written AS ({self._insert_rows.text}) "
            f"INSERT INTO {_quote_table(list_column)} ({_quote_column(list_column)}) "
            f"SELECT json_agg({_quote_column(key)} "
            f"ORDER BY {_quote_column(sort_by)}, {_quote_column(key)}) FROM written",
        )
        self._sort_by, self._key = sort_by._meta.name, key._meta.name

    async def __call__(self, rows: Rows) -> None:
        """Insert the rows, unless there are none."""
        if self._insert_both.is_postgres or not rows:
            await self._insert_both(rows)
            return
        written = await self._insert_rows(rows)
        written.sort(key=lambda row: (row[self._sort_by], row[self._key]))
        await self._insert_list([(json.dumps([row[self._key] for row in written]),)])


def add_to_counters(
    table: type[Table], *, keys: Sequence[Column], sums: Sequence[Column]
) -> Statement:
    """Return a statement that adds to counters, and creates missing ones.

    Each row holds the values of the keys, then the amount to add to each sum. No two rows may have
    the same keys. Rows must be sorted, so that two transactions take their locks in the same order.
    """
    name, columns = f'"{table._meta.tablename}"', (*keys, *sums)
    updates = (
        f"{column} = {name}.{column} + excluded.{column}" for column in map(_quote_column, sums)
    )
    return Statement(
        columns,
        f"INSERT INTO {name} ({_quote_columns(columns)}) {{rows}} "
        f"ON CONFLICT ({_quote_columns(keys)}) DO UPDATE SET {', '.join(updates)}",
    )


def increment_values(column: Column) -> Statement:
    """Return a statement that adds to a column of the rows with these ids.

    The transaction must hold locks on the rows.
    """
    return _update(column, f"{_quote_table(column)}.{_quote_column(column)} + {{value}}")


def update_values(column: Column) -> Statement:
    """Return a statement that writes a separate value into a column of each row.

    The transaction must hold locks on the rows.
    """
    return _update(column, "{value}", returning="")


def update_states(
    state: Column, target: str, *, from_states: Sequence[str], column: Column
) -> Statement:
    """Return a statement that sets a state, and writes a separate value into each row.

    Each row holds an id and that value. Only rows in one of `from_states` are changed, and only
    their ids are returned.
    """
    words = ", ".join(f"'{word}'" for word in from_states)
    return _update(
        column,
        f"{{value}}, {_quote_column(state)} = '{target}'",
        # With IS TRUE, PostgreSQL cannot read a partial index on the state instead of the rows'
        # ids; such an index may hold many dead entries.
        f"AND ({_quote_table(column)}.{_quote_column(state)} IN ({words})) IS TRUE",
    )


def _update(
    column: Column, assignments: str, where: str = "", *, returning: str = "RETURNING {}.id"
) -> Statement:
    """Return an update of one column and perhaps others; `{value}` is the row's new value.

    On PostgreSQL it joins nothing, so that only the index on the ids can find the rows. For a join,
    the plan depends on what the planner knows about the table.
    """
    name, returning = _quote_table(column), returning.format(_quote_table(column))
    update = f"UPDATE {name} SET {_quote_column(column)} = {assignments}"
    value = f"({{arrays[1]}})[array_position({{arrays[0]}}, {name}.id)]"
    return Statement(
        (column._meta.table._meta.primary_key, column),
        f"WITH new_values (id, value) AS ({{rows}}) {update.format(value='new_values.value')} "
        f"FROM new_values WHERE {name}.id = new_values.id {where} {returning}",
        postgres=f"{update.format(value=value)} "
        f"WHERE {name}.id = ANY({{arrays[0]}}) {where} {returning}",
    )
