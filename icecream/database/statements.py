"""Builders of statements about many rows; together with `bulk`, the only place with raw SQL."""

from collections.abc import Iterable, Mapping, Sequence

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
    complete: bool = False,
    name: str = "",
) -> Statement:
    """Return a statement that inserts rows.

    Args:
        skip_existing: skip rows that exist already, instead of failing.
        computed: further columns, and the SQL expressions for their values.
        complete, name: see `Statement`.
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
    return Statement(columns, text, complete=complete, name=name)


def insert_ids(column: Column, keys: Sequence[Column], *, source: str) -> Statement:
    """Return a statement that inserts one row with the ids of other new rows, as JSON, in order.

    Args:
        column: the column for the ids.
        keys: the unique columns of the new rows for which the statement gets values.
        source: the name of the statement that inserts these rows together with this one, and
            returns their ids and keys.
    """
    start = f"INSERT INTO {_quote_table(column)} ({_quote_column(column)})"
    table = _quote_table(keys[0])
    found = f"SELECT {table}.id {_from_wanted(keys)} ORDER BY {table}.id"
    return Statement(
        keys,
        f"{start} {_with_wanted(keys)} SELECT json_group_array(id) FROM ({found})",
        postgres=f"{start} SELECT json_agg(id ORDER BY id) FROM {source} "
        f"WHERE ({_quote_columns(keys)}) IN ({{rows}})",
    )


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
    key: Column,
    columns: Sequence[Column],
    *,
    where: str = "",
    lock: str = "",
    within: tuple[Column, Column] | None = None,
    further: Sequence[str] = (),
) -> Statement:
    """Return a query for the rows with these values of a column, in the order of the values.

    Args:
        where: a further condition, in SQL.
        lock: the strength of the rows' locks, such as `NO KEY UPDATE`. SQLite needs no locks.
        within: two columns of another table: the values are those of the second column where the
            first one has the given values.
        further: SQL expressions for further values.
    """
    name, condition = _quote_column(key), f"AND {where}" if where else ""
    values = ", ".join([_quote_columns(columns), *further])
    select = f"SELECT {values} FROM {_quote_table(key)} WHERE {name}"
    order, locking = f"{condition} ORDER BY {name}", f"FOR {lock}" if lock else ""
    given, keys, array = key, "{rows}", "{arrays[0]}"
    if within is not None:
        given, found = within
        others = f"SELECT {_quote_column(found)} FROM {_quote_table(found)}"
        keys = f"{others} WHERE {_quote_column(given)} IN ({keys})"
        array = f"ARRAY({others} WHERE {_quote_column(given)} = ANY({array}))"
    return Statement(
        (given,),
        f"{select} IN ({keys}) {order}",
        postgres=f"{select} = ANY({array}) {order} {locking}",
    )


def select_max(key: Column, column: Column, *, where: str = "true") -> Statement:
    """Return a query for the largest value of a column, as `max`, by the values of another.

    `max` is null if there is no row.
    """
    name, table = _quote_column(key), _quote_table(key)
    largest = f"SELECT max({_quote_column(column)}) FROM {table}"
    return Statement(
        (key,),
        f"WITH wanted (key) AS ({{rows}}) SELECT key AS {name}, ({largest} "
        f"WHERE {table}.{name} = wanted.key AND {where}) AS max FROM wanted",
    )


def select_unique(keys: Sequence[Column], columns: Sequence[Column]) -> Statement:
    """Return a query for the rows with these values of several columns, which are unique."""
    table, values = _quote_table(keys[0]), ", ".join(map(_as_json_value, columns))
    names = ", ".join(_wanted_names(keys))
    return Statement(
        keys,
        f"{_with_wanted(keys)} SELECT {values} {_from_wanted(keys)}",
        # The limit makes PostgreSQL search the index for each row, with any statistics of the
        # table.
        postgres=f"SELECT found.* FROM ({{rows}}) AS wanted ({names}), LATERAL "
        f"(SELECT {values} FROM {table} WHERE {_matches_wanted(keys)} LIMIT 1) AS found",
    )


def _wanted_names(keys: Sequence[Column]) -> list[str]:
    return [f"key_{n}" for n in range(len(keys))]


def _with_wanted(keys: Sequence[Column]) -> str:
    """Return a WITH with the given values of the columns, for `_from_wanted`."""
    return f"WITH wanted ({', '.join(_wanted_names(keys))}) AS ({{rows}})"


def _from_wanted(keys: Sequence[Column]) -> str:
    """Return a FROM for SQLite, with the rows that have the given values.

    For `IN` with several columns and several rows, SQLite 3.40 would read the whole table. With a
    CROSS JOIN, it searches the index for each of the given rows.
    """
    return f"FROM wanted CROSS JOIN {_quote_table(keys[0])} ON {_matches_wanted(keys)}"


def _matches_wanted(keys: Sequence[Column]) -> str:
    names = zip(keys, _wanted_names(keys), strict=True)
    return " AND ".join(
        f"{_quote_table(key)}.{_quote_column(key)} = wanted.{name}" for key, name in names
    )


def _as_json_value(column: Column) -> str:
    """Return the column, or its text if it holds JSON."""
    name = _quote_column(column)
    return f"CAST({name} AS text) AS {name}" if column.column_type == "JSON" else name


def increment_values(column: Column) -> Statement:
    """Return a statement that adds to a column of the rows with these ids, except where it is null.

    The transaction must hold locks on the rows, unless `write_together` runs the statement.
    """
    name = f"{_quote_table(column)}.{_quote_column(column)}"
    return update_rows(
        {"value": column},
        {column: f"{name} + {{value}}"},
        # Even an update that changes nothing leaves an old row, which every check of a foreign key
        # to this row reads while another session holds a snapshot.
        where=f"{name} IS NOT NULL",
        returning=("id",),
        complete=True,
    )


def update_values(column: Column) -> Statement:
    """Return a statement that writes a separate value into a column of each row.

    The transaction must hold locks on the rows.
    """
    return update_rows({"value": column}, {column: "{value}"})


def update_rows(
    values: Mapping[str, Column],
    changes: Mapping[Column, str],
    *,
    where: str = "",
    returning: Sequence[str] = (),
    complete: bool = False,
    name: str = "",
) -> Statement:
    """Return a statement that changes the rows with these ids, each with its own values.

    On PostgreSQL it joins nothing, so that only the index on the ids can find the rows. For a join,
    the plan depends on what the planner knows about the table.

    Args:
        values: what each row of the statement holds after the id: names, and columns of their
            types. A name must not be a column of the table.
        changes: the changed columns, and SQL expressions in which `{name}` is a value.
        where: a further condition on the rows, which may use the values too.
        returning: SQL expressions for the result, about the changed rows.
        complete, name: see `Statement`.
    """
    (first, *_) = changes
    table, key = _quote_table(first), first._meta.table._meta.primary_key
    result = f"RETURNING {', '.join(returning)}" if returning else ""
    update = ", ".join(f"{_quote_column(column)} = {text}" for column, text in changes.items())
    update, condition = f"UPDATE {table} SET {update}", f"AND {where}" if where else ""
    joined = {one: f"new_values.{one}" for one in values}
    found = _array_values(table, values)
    return Statement(
        (key, *values.values()),
        f"WITH new_values (id, {', '.join(values)}) AS ({{rows}}) {update.format_map(joined)} "
        f"FROM new_values WHERE {table}.id = new_values.id {condition.format_map(joined)} "
        f"{result}",
        postgres=f"{update.format_map(found)} WHERE {table}.id = ANY({{arrays[0]}}) "
        f"{condition.format_map(found)} {result}",
        complete=complete,
        name=name,
    )


def _array_values(table: str, names: Iterable[str]) -> dict[str, str]:
    """Return SQL for the values of a table's row, by their names; the arrays begin with the ids."""
    return {
        name: f"({{arrays[{n}]}})[array_position({{arrays[0]}}, {table}.id)]"
        for n, name in enumerate(names, start=1)
    }


def lock_matching(
    key: Column, values: Mapping[str, Column] | None = None, *, where: str, lock: str
) -> Statement:
    """Return a query that locks the rows with these ids that still match their values.

    It must be complete. It is only for PostgreSQL: on SQLite no row changes after it was read.

    Args:
        values: what each row of the query holds after the id, as in `update_rows`.
        where: the condition, in SQL; `{name}` is a value.
        lock: the strength of the locks, such as `KEY SHARE`.
    """
    table, values = _quote_table(key), values or {}
    return Statement(
        (key, *values.values()),
        f"SELECT id FROM {table} WHERE id = ANY({{arrays[0]}}) "
        f"AND {where.format_map(_array_values(table, values))} ORDER BY id FOR {lock}",
        complete=True,
    )


def delete_by(key: Column, *, where: str) -> Statement:
    """Return a statement that deletes the rows with these values of a column, and a condition."""
    delete = f"DELETE FROM {_quote_table(key)} WHERE {where} AND {_quote_column(key)}"
    return Statement((key,), f"{delete} IN ({{rows}})", postgres=f"{delete} = ANY({{arrays[0]}})")
