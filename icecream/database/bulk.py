"""Statements about many rows, in the dialects of PostgreSQL and SQLite.

Piccolo builds an object and a query per row, which costs 50 us or more, and its DO UPDATE
cannot use `excluded`. Here the text of a statement is built once and then reused. On PostgreSQL a
list of rows is sent as one array per column, so the text is the same for any number of rows.
"""

import itertools
import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import msgspec
from piccolo.columns import Column
from piccolo.querystring import QueryString

# The values that a statement gets, and the rows that it returns.
ValueRows = Sequence[tuple[Any, ...]]
ResultRows = list[dict[str, Any]]
# Such as the line feed in a text of JSON.
_NAMED_CHARACTER = re.compile(r'\\[^"\\]')


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

    async def __call__(self, rows: ValueRows, *arguments: Any) -> ResultRows:
        """Run the statement, unless there are no rows; the result has no particular order."""
        if not rows:
            return []
        if self.is_postgres:
            return await self.run(self._text_with_arrays, [*self.to_arrays(rows), *arguments])
        values = [*itertools.chain(*rows), *arguments]
        return await self.run(self._text_with_values(len(rows)), values)

    async def run(self, text: str, arguments: list[Any]) -> ResultRows:
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

    @cached_property
    def _is_text(self) -> list[bool]:
        """Whether each array is sent as text."""
        # PostgreSQL converts a text where it is used: once for `{rows}`, but for each row of a
        # table in the conditions and changes that name `{arrays}`. It converts times slowly.
        once = "{arrays" not in self._postgres_text
        return [once and column.value_type in (int, str) for column in self._columns]

    def to_arrays(self, rows: ValueRows) -> list[Any]:
        """Return one array of values per column; empty arrays if there are no rows."""
        arrays = list(zip(*rows, strict=True)) or [()] * self.width
        return [
            _array_text(values) if is_text else list(values)
            for values, is_text in zip(arrays, self._is_text, strict=True)
        ]

    def with_arrays(self, first: int) -> str:
        """Return the text for PostgreSQL, with placeholders that start at the number `first`."""
        # The column type of a primary key is the name of a sequence, so it is replaced.
        types = [
            "bigint" if column._meta.primary_key else column.column_type for column in self._columns
        ]
        arrays = [
            f"${n}{'::text' if is_text else ''}::{name}[]"
            for n, name, is_text in zip(itertools.count(first), types, self._is_text)
        ]
        further = (f"${n}" for n in range(first + len(types), 100))
        rows = f"SELECT * FROM unnest({', '.join(arrays)})"
        return self._postgres_text.format(*further, rows=rows, arrays=arrays)

    def _text_with_values(self, count: int) -> str:
        row = f"({', '.join('?' * len(self._columns))})"
        return self.text.format(*"?" * 100, rows=f"VALUES {', '.join([row] * count)}")


def _array_text(values: Sequence[Any]) -> str:
    """Return an array as PostgreSQL writes it: like JSON, but without names for characters.

    For a list, asyncpg would check the type of each value, which takes longer than all the rest.
    """
    text = msgspec.json.encode(values).decode()[1:-1]
    if _NAMED_CHARACTER.search(text):
        text = ",".join(map(_quote, values))
    return f"{{{text}}}"


def _quote(value: Any) -> str:
    if not isinstance(value, str):
        return msgspec.json.encode(value).decode()
    escaped = value.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'


BoundStatement = tuple[Statement, ValueRows]


async def run_together(*bound: BoundStatement, main: int = 0) -> ResultRows:
    """Run statements and return the result of the main one, by default the first.

    On PostgreSQL they become parts of one statement, which needs one round trip in total. All parts
    see the rows from before it. The main part is carried out first, then the others in their order.
    So locks are always taken in the same order, but correctness must not depend on it. With one
    other part, the main part may read its result as the table `part_0`; then the other one is
    carried out first.
    """
    statement = bound[main][0]
    if not any(rows for _, rows in bound):
        return []
    if statement.is_postgres:
        # PostgreSQL carries out the main part first, and then the last of the other parts.
        turned = [bound[main], *reversed([*bound[:main], *bound[main + 1 :]])]
        text = _write_text(*(statement for statement, _ in turned))
        return await statement.run(text, _join(turned))
    results = [await statement(rows) for statement, rows in bound]
    return results[main]


async def read_together(
    *bound: BoundStatement, lock_timeout: float | None = None
) -> list[list[dict[str, Any]]]:
    """Run queries, which may lock rows, and return the result of each one.

    On PostgreSQL this needs one round trip in total. The values are those of JSON: numbers, strings
    and null.

    Args:
        lock_timeout: the maximum number of seconds to wait for a lock after these queries, in the
            same transaction; then `LockTimeout` is raised. SQLite never waits for a lock there.
    """
    ((first, _), *_) = bound
    if not first.is_postgres:
        return [await statement(rows) for statement, rows in bound]
    text = _read_text(tuple(statement for statement, _ in bound), lock_timeout)
    (row,) = await first.run(text, _join(bound))
    parts = (row[f"part_{n}"] for n in range(len(bound)))
    return [msgspec.json.decode(part) if part else [] for part in parts]


def _join(bound: Sequence[BoundStatement]) -> list[Any]:
    return [values for statement, rows in bound for values in statement.to_arrays(rows)]


@cache
def _write_text(main: Statement, *others: Statement) -> str:
    text, *texts = _number_parameters((main, *others))
    parts = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(texts))
    return f"WITH {parts} {text}" if parts else text


@cache
def _read_text(queries: tuple[Statement, ...], lock_timeout: float | None) -> str:
    texts = _number_parameters(queries)
    parts = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(texts))
    values = [f"(SELECT json_agg(part_{n}) FROM part_{n}) AS part_{n}" for n in range(len(texts))]
    if lock_timeout is not None:
        values.append(f"set_config('lock_timeout', '{round(1000 * lock_timeout)}', true)")
    return f"WITH {parts} SELECT {', '.join(values)}"


def _number_parameters(statements: Sequence[Statement]) -> list[str]:
    texts, first = [], 1
    for statement in statements:
        texts.append(statement.with_arrays(first))
        first += statement.width
    return texts
