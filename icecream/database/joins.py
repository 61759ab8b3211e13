"""The rows of a query together with the rows of another table that refer to them."""

from collections.abc import Sequence
from typing import Any

from piccolo.columns import Column
from piccolo.query import Select
from piccolo.querystring import QueryString

# On PostgreSQL, OFFSET keeps the planner from joining in another way than by the index of the
# reference, for example by reading all rows of the other table.
_POSTGRES_JOIN = """LATERAL (
    SELECT * FROM {table} WHERE {reference} = parent."id" ORDER BY "id" OFFSET 0) AS child"""
# SQLite reads the left table of a CROSS JOIN first.
_SQLITE_JOIN = '{table} AS child ON child.{reference} = parent."id"'


async def select_with_children(
    query: Select[Any],
    reference: Column,
    columns: Sequence[Column],
    *,
    order_by: Sequence[tuple[Column, bool]],
) -> list[tuple[Any, ...]]:
    """Return one row per child: the columns of the query, then `columns` of the child.

    One statement costs half as much as two. Rows without children are left out, and the children of
    a row are sorted by their ids.

    Args:
        query: a query of a table with an `id`; without a sort order.
        reference: the column of the children that refers to the query's table.
        columns: columns of the children's table, with other names than those of the query.
        order_by: columns of the query, and whether they are ascending.
    """
    for column, is_ascending in order_by:
        query = query.order_by(column, ascending=is_ascending)
    is_postgres = reference._meta.engine_type == "postgres"
    join = (_POSTGRES_JOIN if is_postgres else _SQLITE_JOIN).format(
        table=f'"{reference._meta.table._meta.tablename}"', reference=_quote(reference)
    )
    selected = ", ".join(f"child.{_quote(column)}" for column in columns)
    order = ", ".join(
        f"parent.{_quote(column)} {'ASC' if is_ascending else 'DESC'}"
        for column, is_ascending in order_by
    )
    text = (
        f"SELECT parent.*, {selected} FROM ({{}}) AS parent CROSS JOIN {join} "
        f'ORDER BY {order}, child."id"'
    )
    engine: Any = reference._meta.table._meta.db
    rows = await engine.run_querystring(QueryString(text, *query.querystrings))
    return [tuple(row.values()) for row in rows]


def _quote(column: Column) -> str:
    return f'"{column._meta.db_column_name}"'
