"""Conditions on a column and a list of values.

On PostgreSQL the list is one argument. With Piccolo's `is_in` each length of a list is another
statement, which the server has to parse and plan again.
"""

from collections.abc import Collection

from piccolo.columns import Column
from piccolo.columns.combination import Where, WhereRaw


def is_any(column: Column, values: Collection[int] | Collection[str]) -> Where | WhereRaw:
    """Return the condition that the column has one of these values."""
    if column._meta.engine_type == "postgres":
        return WhereRaw(f"{column._meta.get_full_name(with_alias=False)} = ANY({{}})", list(values))
    return column.is_in(list(values))


def is_none(column: Column, values: Collection[int] | Collection[str]) -> Where | WhereRaw:
    """Return the condition that the column has none of these values."""
    if column._meta.engine_type == "postgres":
        return WhereRaw(
            f"{column._meta.get_full_name(with_alias=False)} <> ALL({{}})", list(values)
        )
    return column.not_in(list(values))
