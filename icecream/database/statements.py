"""Builders of statements about many rows; together with `bulk`, the only place with raw SQL."""

from collections.abc import Sequence

from piccolo.columns import Column
from piccolo.table import Table

from icecream.database.bulk import Statement


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
    computed: Sequence[tuple[Column, str]] = (),
) -> Statement:
    """Return a statement that inserts rows.

    Args:
        skip_existing: skip rows that exist already, instead of failing.
        computed: further columns, and the SQL expressions for their values.
    """
    names, rows = _quote_columns(columns), "{rows}"
    if computed:
        names = _quote_columns((*columns, *(column for column, _ in computed)))
        # Without a WHERE, SQLite would parse the ON CONFLICT that follows as a join condition.
        values = ", ".join(value for _, value in computed)
        rows = f"SELECT new_rows.*, {values} FROM ({{rows}}) AS new_rows WHERE true"
    text = f'INSERT INTO "{table._meta.tablename}" ({names}) {rows}'
    if skip_existing:
        text += " ON CONFLICT DO NOTHING"
    if returning:
        text += f" RETURNING {_quote_columns(returning)}"
    return Statement(columns, text)


def new_ids(table: type[Table]) -> Statement:
    """Return a query for unused ids, in increasing order; its only row is the wanted number.

    The ids that are not used are lost, as after a rollback.
    """
    key, name = table._meta.primary_key, f'"{table._meta.tablename}"'
    return Statement(
        (key,),
        "WITH RECURSIVE wanted (number) AS ({rows}), counted (n) AS (SELECT 1 FROM wanted WHERE "
        "number > 0 UNION ALL SELECT n + 1 FROM counted, wanted WHERE n < number) "
        f"SELECT n + COALESCE((SELECT max(id) FROM {name}), 0) AS id FROM counted ORDER BY n",
        postgres=f"SELECT nextval('{table._meta.tablename}_id_seq') AS id "
        "FROM generate_series(1, ({arrays[0]})[1])",
    )


def select_by(
    key: Column, columns: Sequence[Column], *, where: str = "", lock: str = ""
) -> Statement:
    """Return a query for the rows with these values of a column, in the order of the values.

    Args:
        where: a further condition, in SQL.
        lock: the strength of the rows' locks, such as `NO KEY UPDATE`. SQLite needs no locks.
    """
    name, condition = _quote_column(key), f"AND {where}" if where else ""
    select = f"SELECT {_quote_columns(columns)} FROM {_quote_table(key)} WHERE {name}"
    order = f"{condition} ORDER BY {name}"
    return Statement(
        (key,),
        f"{select} IN ({{rows}}) {order}",
        postgres=f"{select} = ANY({{arrays[0]}}) {order} {f'FOR {lock}' if lock else ''}",
    )


def select_max(key: Column, column: Column) -> Statement:
    """Return a query for the largest value of a column, as `max`, by the values of another."""
    name, table = _quote_column(key), _quote_table(key)
    largest = f"SELECT max({_quote_column(column)}) FROM {table} WHERE {table}.{name} = wanted.key"
    return Statement(
        (key,),
        f"WITH wanted (key) AS ({{rows}}) SELECT key AS {name}, ({largest}) AS max "
        f"FROM wanted WHERE EXISTS (SELECT 1 FROM {table} WHERE {table}.{name} = wanted.key)",
    )


def select_unique(keys: Sequence[Column], columns: Sequence[Column]) -> Statement:
    """Return a query for the rows with these values of several columns, which are unique."""
    table = _quote_table(keys[0])
    select = f"SELECT {', '.join(map(_as_json_value, columns))} FROM {table} WHERE"
    names = [f"key_{n}" for n in range(len(keys))]
    matches = " AND ".join(
        f"{table}.{_quote_column(key)} = wanted.{name}"
        for key, name in zip(keys, names, strict=True)
    )
    return Statement(
        keys,
        f"{select} ({_quote_columns(keys)}) IN ({{rows}})",
        # The limit makes PostgreSQL search the index for each row, whatever it knows about the
        # table.
        postgres=f"SELECT found.* FROM ({{rows}}) AS wanted ({', '.join(names)}), "
        f"LATERAL ({select} {matches} LIMIT 1) AS found",
    )


def _as_json_value(column: Column) -> str:
    """Return the column, or its text if it holds JSON."""
    name = _quote_column(column)
    return f"CAST({name} AS text) AS {name}" if column.column_type == "JSON" else name


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
