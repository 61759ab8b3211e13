"""Statements about many rows, in the dialects of PostgreSQL and SQLite.

Piccolo builds an object and a query per row, which costs 50 us or more, and its DO UPDATE
cannot use `excluded`. Here the text of a statement is built once and then reused. On PostgreSQL a
list of rows is sent as one array per column, so the text is the same for any number of rows but 0.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import msgspec
from piccolo.columns import Column
from piccolo.querystring import QueryString

from icecream.database.failures import RetryTransaction

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
        complete: whether it must return a row for each given row, when it is run by
            `write_together`.
        name: on PostgreSQL, the table that holds its result for statements that are run together
            with it.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        text: str,
        *,
        postgres: str = "",
        complete: bool = False,
        name: str = "",
    ) -> None:
        self._columns, self.text, self.width = columns, text, len(columns)
        self._postgres_text, self.complete, self.name = postgres or text, complete, name

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
        result: list[dict[str, Any]] = await self._engine.run_querystring(
            _RawQuery(text, arguments)
        )
        return result

    async def commit(self, text: str, arguments: list[Any]) -> ResultRows:
        """Run a text that writes; outside of a transaction, it is one of its own."""
        result: list[dict[str, Any]] = await self._engine.commit_query(text, arguments)
        return result

    @property
    def _engine(self) -> Any:
        return self._columns[0]._meta.table._meta.db

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
        arrays = self._array_parameters(first)
        further = (f"${n}" for n in range(first + self.width, 100))
        rows = f"SELECT * FROM unnest({', '.join(arrays)})"
        return self._postgres_text.format(*further, rows=rows, arrays=arrays)

    def _array_parameters(self, first: int) -> list[str]:
        # The column type of a primary key is the name of a sequence, so it is replaced.
        types = [
            "bigint" if column._meta.primary_key else column.column_type for column in self._columns
        ]
        return [
            f"${n}{'::text' if is_text else ''}::{name}[]"
            for n, name, is_text in zip(itertools.count(first), types, self._is_text)
        ]

    def number_of_rows(self, first: int) -> str:
        """Return SQL for the number of given rows, for placeholders from the number `first`."""
        return f"cardinality({self._array_parameters(first)[0]})"

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
    So locks are always taken in the same order, but correctness must not depend on it. A part that
    reads the result of another one is carried out after it.
    """
    statement = bound[main][0]
    if not any(rows for _, rows in bound):
        return []
    if statement.is_postgres:
        # PostgreSQL carries out the main part first, and then the last of the other parts.
        others = [one for one in (*bound[:main], *bound[main + 1 :]) if one[1]]
        turned = [bound[main], *reversed(others)]
        text = _write_text(*(statement for statement, _ in turned))
        return await statement.run(text, _join(turned))
    results = [await statement(rows) for statement, rows in bound]
    return results[main]


async def write_together(
    *bound: BoundStatement,
    lock_timeout: float | None = None,
    queries: Sequence[BoundStatement] = (),
) -> list[ResultRows]:
    """Run statements if all of those that must be complete are: a check and a write in one.

    On PostgreSQL this needs one round trip in total. The complete statements are carried out first,
    in their order, then the others in theirs. All of them see the rows from before.

    Args:
        queries: are run too, as by `read_together`; their results are returned.
        lock_timeout: the maximum number of seconds to wait for a lock in the last complete
            statement, and in those after it. SQLite never waits for a lock there.

    Raises:
        RetryTransaction: a complete statement returned fewer rows than it was given, because they
            have changed since they were read.
        LockTimeout: a lock was not available in time.
        CommitOutcomeUnknown: outside of a transaction, it is unknown whether this was written.
    """
    ((first, _), *_) = bound
    if not first.is_postgres:
        for statement, rows in bound:
            result = await statement(rows)
            if statement.complete and len(result) < len(rows):
                raise RetryTransaction
        return [await statement(rows) for statement, rows in queries]
    bound = tuple(one for one in bound if one[1])
    complete = [one for one in bound if one[0].complete]
    # PostgreSQL carries out the last of the other parts first.
    others = [one for one in reversed(bound) if not one[0].complete]
    ordered = [*complete, *queries, *others]
    if not ordered:
        return []
    statements = tuple(statement for statement, _ in ordered)
    text = _checked_write_text(statements, len(complete), len(queries), lock_timeout)
    (row,) = await first.commit(text, _join(ordered))
    return _decode_results(row, range(len(complete), len(complete) + len(queries)))


async def read_together(*bound: BoundStatement) -> list[list[dict[str, Any]]]:
    """Run queries, which may lock rows, and return the result of each one.

    On PostgreSQL this needs one round trip in total. The values are those of JSON: numbers, strings
    and null.
    """
    ((first, _), *_) = bound
    if not first.is_postgres:
        return [await statement(rows) for statement, rows in bound]
    text = _read_text(*(statement for statement, _ in bound))
    (row,) = await first.run(text, _join(bound))
    return _decode_results(row, range(len(bound)))


def _decode_results(row: Mapping[str, Any], numbers: Iterable[int]) -> list[ResultRows]:
    parts = (row[f"part_{n}"] for n in numbers)
    return [msgspec.json.decode(part) if part else [] for part in parts]


def _join(bound: Sequence[BoundStatement]) -> list[Any]:
    return [values for statement, rows in bound for values in statement.to_arrays(rows)]


@cache
def _write_text(main: Statement, *others: Statement) -> str:
    text, *texts = _number_parameters((main, *others))
    return f"{_with_parts(others, texts)} {text}" if others else text


@cache
def _checked_write_text(
    statements: tuple[Statement, ...], complete: int, queries: int, lock_timeout: float | None
) -> str:
    """Return the text of `write_together`: first the complete statements, then the queries."""
    first, checks, names = 1, [], _part_names(statements)
    for statement, name in zip(statements[:complete], names, strict=False):
        rows = statement.number_of_rows(first)
        checks.append(f"require_rows((SELECT count(*) FROM {name}), {rows})")
        first += statement.width
    if lock_timeout is not None:
        checks.insert(-1, f"set_config('lock_timeout', '{round(1000 * lock_timeout)}', true)")
    results = _result_values(statements)[complete : complete + queries]
    parts = _with_parts(statements, _number_parameters(statements))
    return f"{parts} SELECT {', '.join([*checks, *results])}"


def _result_values(statements: Sequence[Statement]) -> list[str]:
    """Return the values of a SELECT that are the results of the parts; see `_decode_results`."""
    return [
        f"(SELECT json_agg({name}) FROM {name}) AS part_{n}"
        for n, name in enumerate(_part_names(statements))
    ]


@cache
def _read_text(*queries: Statement) -> str:
    values = ", ".join(_result_values(queries))
    return f"{_with_parts(queries, _number_parameters(queries))} SELECT {values}"


def _with_parts(statements: Sequence[Statement], texts: Sequence[str]) -> str:
    parts = list(zip(statements, _part_names(statements), texts, strict=True))
    # A part can only read those before it, and only parts with names of their own are read. The
    # order of the others is the order in which they are carried out.
    parts.sort(key=lambda part: not part[0].name)
    return f"WITH {', '.join(f'{name} AS ({text})' for _, name, text in parts)}"


def _part_names(statements: Sequence[Statement]) -> list[str]:
    return [statement.name or f"part_{n}" for n, statement in enumerate(statements)]


def _number_parameters(statements: Sequence[Statement]) -> list[str]:
    texts, first = [], 1
    for statement in statements:
        texts.append(statement.with_arrays(first))
        first += statement.width
    return texts
