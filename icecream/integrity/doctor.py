"""Invariants of the tables: each query finds the rows that violate a rule."""

from collections.abc import Iterable
from datetime import timedelta

from piccolo.apps.migrations.tables import Migration
from piccolo.querystring import QueryString
from piccolo.table import Table

from icecream import database, states
from icecream.tables import APP_CONFIG, NOTICE_RETRY_PERIOD, Order


def _quoted_list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


OPEN_STATES = _quoted_list(one for one in states.open_states(states.PAYMENT) if one != "parked")
LIVE_STATUSES = _quoted_list(states.LIVE_STATUSES)
# The charges of such an order were refunded completely, unless a refund failed after the order was
# canceled.
ENDED_STATUSES = "'refunded', 'canceled'"
# For each order: the amounts that the provider moved, and the amount that an open refund requests.
BALANCES = f"""
    SELECT o.id, o.status, o.total, o.refunded,
        sum(CASE WHEN p.kind = 'charge' THEN {{money}} ELSE 0 END) AS charged,
        sum(CASE WHEN p.kind = 'refund' AND p.state = 'succeeded' THEN {{money}} ELSE 0 END)
            AS returned,
        sum(CASE WHEN p.kind = 'refund' AND p.state <> 'succeeded' THEN p.amount ELSE 0 END)
            AS requested
    FROM orders o LEFT JOIN payment p ON p."order" = o.id AND (
        p.state = 'succeeded' OR (p.kind = 'refund' AND p.state IN ({OPEN_STATES}, 'parked')))
    GROUP BY o.id, o.status, o.total, o.refunded""".format(money="COALESCE(p.moved, p.amount)")
# A refund failed after its order was canceled, so money is left.
HAS_MONEY_LEFT = """status = 'canceled' AND EXISTS (SELECT 1 FROM payment f WHERE f."order" = b.id
            AND f.kind = 'refund' AND f.state <> 'succeeded')"""
# The provider refunded more than requested, and staff have booked it: no more action is needed.
BOOKED_TOO_MUCH = """SELECT 1 FROM payment m WHERE m."order" = b.id AND m.kind = 'refund'
            AND m.state = 'succeeded' AND m.moved > m.amount"""
# Both databases write a time in UTC as text that begins with the day.
DAY_EXPRESSION = "substr(CAST(o.created_at AS text), 1, 10)"
LINES = 'orders o JOIN order_line l ON l."order" = o.id'
# The facts that the totals sum up.
LINE_FACTS = f"""
    SELECT l.flavor, {DAY_EXPRESSION} AS day, o.status, l.quantity, 1 AS orders,
        l.quantity * l.unit_price AS revenue, l.refunded FROM {LINES}"""
ORDER_FACTS = f"""
    SELECT o."user", {DAY_EXPRESSION} AS day, o.status, q.quantity, 1 AS orders,
        o.total AS revenue, o.refunded FROM orders o JOIN (
        SELECT "order", sum(quantity) AS quantity FROM order_line GROUP BY "order"
    ) q ON q."order" = o.id"""
# For each rule: the table, its keys, and its facts.
TOTALS = {
    "totals by flavor equal a recount": ("flavor_total", "flavor, status", LINE_FACTS),
    "totals by flavor and day equal a recount": ("flavor_day", "flavor, day, status", LINE_FACTS),
    "totals by customer and day equal a recount": (
        "customer_day",
        '"user", day, status',
        ORDER_FACTS,
    ),
    "totals by day equal a recount": ("day_total", "day, status", ORDER_FACTS),
}
# The stock of a flavor.
STOCK_EXPRESSION = f"""(
    (SELECT COALESCE(sum(m.quantity), 0) FROM stock_move m WHERE m.flavor = flavor.id) -
    (SELECT COALESCE(sum(l.quantity), 0) FROM {LINES}
     WHERE l.flavor = flavor.id AND o.status IN ({LIVE_STATUSES})))"""

# PostgreSQL takes ids from sequences. After a restored backup, a sequence may be behind and yield
# ids that are taken, so that every insert fails. Piccolo's own table has a sequence too.
IS_POSTGRES = isinstance(database.DB, database.Postgres)
TABLES: list[type[Table]] = [*APP_CONFIG.table_classes, Migration]
WITH_SEQUENCE = [f'"{table._meta.tablename}"' for table in TABLES]


def sequence_expression(table: str) -> str:
    """Return the SQL for the sequence of a table's ids."""
    return f"CAST(pg_get_serial_sequence('{table}', 'id') AS regclass)"


def if_behind(table: str) -> str:
    """Return the end of a `max(id)` query that finds a row only if the sequence is behind."""
    last = f"COALESCE(pg_sequence_last_value({sequence_expression(table)}), 0)"
    return f"FROM {table} HAVING max(id) > {last}"


def _differing_rows(recount: str, stored: str) -> str:
    """Return the SQL for the rows that only one of the two sides has."""
    # SQLite does not allow parentheses around the parts of a UNION, but allows subqueries.
    return (
        f"SELECT * FROM ({recount} EXCEPT {stored}) a"
        f" UNION ALL SELECT * FROM ({stored} EXCEPT {recount}) b"
    )


def _differing_totals(table: str, keys: str, facts: str) -> str:
    """Return the SQL for the differences between the sums of these facts and the totals.

    The totals are those that are read: together with the changes that are not yet applied.
    """
    sums = "sum(quantity), sum(orders), sum(revenue), sum(refunded)"
    stored = keys.replace("day", "CAST(day AS text)")
    return _differing_rows(
        f"SELECT {keys}, {sums} FROM ({facts}) facts GROUP BY {keys}",
        f"""SELECT {stored}, {sums} FROM current_{table} GROUP BY {keys}
            HAVING sum(quantity) <> 0 OR sum(orders) <> 0 OR sum(revenue) <> 0
            OR sum(refunded) <> 0""",
    )


RULES = {
    "a pending order has an open charge": f"""
        SELECT o.id FROM orders o WHERE o.status = 'pending' AND NOT EXISTS (
            SELECT 1 FROM payment p WHERE p."order" = o.id AND p.kind = 'charge'
            AND (p.state IN ({OPEN_STATES}) OR p.state = 'parked'))""",
    "an open payment has a job": f"""
        SELECT p.id FROM payment p WHERE p.state IN ({OPEN_STATES}) AND NOT EXISTS (
            SELECT 1 FROM job j WHERE j.subject = p.id AND j.kind = p.kind)""",
    "a job has an open payment": f"""
        SELECT j.id FROM job j WHERE j.kind IN ('charge', 'refund') AND NOT EXISTS (
            SELECT 1 FROM payment p WHERE p.id = j.subject AND p.kind = j.kind
            AND p.state IN ({OPEN_STATES}))""",
    "a webhook event that was not applied has a job until it expires": """
        SELECT n.id FROM notice n WHERE n.applied_at IS NULL AND n.received_at > {} AND NOT EXISTS (
            SELECT 1 FROM job j WHERE j.subject = n.id AND j.kind = 'notice')""",
    "an open charge belongs to a pending order": f"""
        SELECT p.id FROM payment p JOIN orders o ON o.id = p."order"
        WHERE p.kind = 'charge' AND p.state IN ({OPEN_STATES}) AND o.status <> 'pending'""",
    "a sent payment gets an answer within a day": """
        SELECT id FROM payment WHERE state = 'sent' AND first_sent_at < {}""",
    "a refunding order has an open refund": f"""
        SELECT o.id FROM orders o WHERE o.status = 'refunding' AND NOT EXISTS (
            SELECT 1 FROM payment p WHERE p."order" = o.id AND p.kind = 'refund'
            AND (p.state IN ({OPEN_STATES}) OR p.state = 'parked'))""",
    "an open refund belongs to an order that was paid": f"""
        SELECT p.id FROM payment p JOIN orders o ON o.id = p."order"
        WHERE p.kind = 'refund' AND (p.state IN ({OPEN_STATES}) OR p.state = 'parked')
        AND o.status NOT IN ('paid', 'refunding') AND NOT (
            o.status = 'canceled' AND EXISTS (
                SELECT 1 FROM payment c WHERE c."order" = o.id AND c.kind = 'charge'
                AND c.state = 'succeeded'))""",
    "the refunded amount of an order is the sum of its refunds": f"""
        SELECT id FROM ({BALANCES}) b WHERE refunded <> CASE
            WHEN charged > 0 AND returned >= charged THEN total WHEN returned > total THEN total
            ELSE returned END""",
    "an order is not refunded more than it was charged": f"""
        SELECT id FROM ({BALANCES}) b
        WHERE returned + requested > charged AND (charged > 0 OR returned > 0) AND NOT EXISTS (
            {BOOKED_TOO_MUCH})""",
    "an order that was charged another amount is refunded completely": f"""
        SELECT b.id FROM ({BALANCES}) b JOIN payment c ON c."order" = b.id
            AND c.kind = 'charge' AND c.state = 'succeeded' AND c.moved <> c.amount
        WHERE (status = 'paid' OR ({HAS_MONEY_LEFT})) AND returned < charged AND requested = 0""",
    "a refunded or canceled order has no money left": f"""
        SELECT id FROM ({BALANCES}) b
        WHERE status IN ({ENDED_STATUSES}) AND returned < charged AND NOT ({HAS_MONEY_LEFT})""",
    "a paid order was charged once, and no other order was charged": """
        SELECT o.id FROM orders o LEFT JOIN payment p
            ON p."order" = o.id AND p.kind = 'charge' AND p.state = 'succeeded'
        GROUP BY o.id, o.status, o.total
        HAVING count(p.id) <> CASE
            WHEN o.total > 0 AND o.status IN ('paid', 'refunding', 'refunded') THEN 1 ELSE 0 END
            AND o.status <> 'canceled'""",
    "a charge is for the order's total": """
        SELECT p.id FROM payment p JOIN orders o ON o.id = p."order"
        WHERE p.kind = 'charge' AND p.amount <> o.total""",
    "an order's total is the sum of its lines": f"""
        SELECT o.id FROM {LINES} GROUP BY o.id, o.total
        HAVING o.total <> sum(l.quantity * l.unit_price)""",
    "a history has no gaps": """
        SELECT o.id FROM orders o LEFT JOIN event e ON e."order" = o.id
        GROUP BY o.id HAVING count(e.id) = 0 OR max(e.seq) <> count(e.id)""",
    "the positions of events have no gaps": """
        SELECT max(position) FROM event
        HAVING max(position) <> count(position) OR min(position) <> 1""",
    "the feed has the right number of events with a position": """
        SELECT count(position) FROM event
        HAVING count(position) <> (SELECT COALESCE(sum(last), -1) FROM feed)""",
    "the positions of an order's events are in order": """
        SELECT b.id FROM event a JOIN event b ON b."order" = a."order" AND b.seq = a.seq + 1
        WHERE b.position IS NOT NULL AND (a.position IS NULL OR a.position > b.position)""",
    # This holds at any time, also while a publisher runs.
    "an event has a position or waits for one": """
        SELECT count(*) - count(position) FROM event HAVING count(*) - count(position) <>
            (SELECT COALESCE(sum(json_array_length(events)), 0) FROM unpublished)""",
    "counted stock equals receipts minus reservations": f"""
        SELECT flavor.id FROM flavor WHERE stock IS NOT NULL AND stock <> {STOCK_EXPRESSION}""",
    "the refunded amount of an order is the sum over its lines": f"""
        SELECT o.id FROM {LINES} GROUP BY o.id, o.refunded
        HAVING o.refunded <> sum(l.refunded) OR max(l.refunded - l.quantity * l.unit_price) > 0""",
} | {rule: _differing_totals(*total) for rule, total in TOTALS.items()}
# Rules only for PostgreSQL. The first column is the name of a table.
SEQUENCE_RULES = {
    "the next id of each table is unused": " UNION ALL ".join(
        f"SELECT '{table}' AS behind {if_behind(table)}" for table in WITH_SEQUENCE
    )
}
if IS_POSTGRES:
    RULES |= SEQUENCE_RULES

# The age that replaces {} in a rule.
MIN_AGES = {
    "a webhook event that was not applied has a job until it expires": NOTICE_RETRY_PERIOD,
    "a sent payment gets an answer within a day": timedelta(days=1),
}


async def find_violations() -> dict[str, list[tuple[object, ...]]]:
    """Return the rules that do not hold, each with the rows that violate it.

    The first column of a row is an id, a day or a table. Each rule is one query, which sees one
    snapshot, so this can be used with a running service.
    """
    answers = {rule: await Order.raw(query, *_age_parameter(rule)) for rule, query in RULES.items()}
    return {rule: [tuple(row.values()) for row in rows] for rule, rows in answers.items() if rows}


def _age_parameter(rule: str) -> list[QueryString]:
    """Return the time parameter of a rule's query, by the database's clock, if it has one."""
    return [database.seconds_from_now(-MIN_AGES[rule].total_seconds())] if rule in MIN_AGES else []
