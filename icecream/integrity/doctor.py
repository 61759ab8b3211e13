"""Invariants of the tables: each query finds the rows that violate a rule."""

import re
from collections.abc import Iterable
from datetime import timedelta

from piccolo.apps.migrations.tables import Migration
from piccolo.querystring import QueryString
from piccolo.table import Table

from icecream import database, settings, states
from icecream.database import local_days
from icecream.tables import APP_CONFIG, NOTICE_RETRY_PERIOD, SECONDS_PER_QUARTER, Order


def _quoted_list(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


OPEN_STATES = _quoted_list(one for one in states.open_states(states.PAYMENT) if one != "parked")
LIVE_STATUSES = _quoted_list(states.LIVE_STATUSES)
CHARGED_STATUSES = _quoted_list(states.CHARGED_STATUSES)
FULFILMENT_EVENTS = f"e.type IN ({_quoted_list(states.FULFILMENT)})"
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
IS_POSTGRES = isinstance(database.DB, database.Postgres)
DAY_EXPRESSION = local_days.utc_day("o.created_at")
# Replaced when a query runs (`with_local_days`), because the time zone is a setting.
LOCAL_DAY_MARK = "LOCAL_DAY_OF_ORDER"
EPOCH_EXPRESSION = (
    "CAST(floor(extract(epoch FROM o.created_at)) AS bigint)"
    if IS_POSTGRES
    else "CAST(strftime('%s', o.created_at) AS integer)"
)
TIME_EXPRESSIONS = f"""{DAY_EXPRESSION} AS day, {LOCAL_DAY_MARK} AS local_day,
        {EPOCH_EXPRESSION} / {SECONDS_PER_QUARTER} AS quarter"""
LINES = 'orders o JOIN order_line l ON l."order" = o.id'
# The facts that the totals sum up.
LINE_FACTS = f"""
    SELECT l.flavor, {TIME_EXPRESSIONS}, o.status, l.quantity, 1 AS orders,
        l.quantity * l.unit_price AS revenue, l.refunded FROM {LINES}"""
ORDER_FACTS = f"""
    SELECT o."user", {TIME_EXPRESSIONS}, o.status, q.quantity, 1 AS orders,
        o.total AS revenue, o.refunded FROM orders o JOIN (
        SELECT "order", sum(quantity) AS quantity FROM order_line GROUP BY "order"
    ) q ON q."order" = o.id"""
PAYMENT_FACTS = f"""
    SELECT p.kind, p.state, {TIME_EXPRESSIONS}, 1 AS quantity, 0 AS orders,
        COALESCE(p.moved, p.amount) AS revenue, 0 AS refunded
        FROM payment p JOIN orders o ON o.id = p."order"
        WHERE p.state NOT IN ({OPEN_STATES}, 'parked')"""
# The names of days among the keys of totals.
DAY_PATTERN = re.compile(r"\b(?:local_)?day\b")
# For each rule: the table, its keys, and its facts.
TOTALS = {
    "totals by flavor equal a recount": ("flavor_total", "flavor, status", LINE_FACTS),
    "totals by flavor and day equal a recount": (
        "flavor_day",
        "flavor, day, local_day, status",
        LINE_FACTS,
    ),
    "totals by customer and day equal a recount": (
        "customer_day",
        '"user", day, local_day, status',
        ORDER_FACTS,
    ),
    "totals by day equal a recount": ("day_total", "day, local_day, status", ORDER_FACTS),
    "totals by quarter of an hour equal a recount": (
        "quarter_total",
        "quarter, status",
        ORDER_FACTS,
    ),
    "totals of payments by day equal a recount": (
        "payment_day",
        "kind, state, day, local_day",
        PAYMENT_FACTS,
    ),
}
# The stock of a flavor.
STOCK_EXPRESSION = f"""(
    (SELECT COALESCE(sum(m.quantity), 0) FROM stock_move m WHERE m.flavor = flavor.id) -
    (SELECT COALESCE(sum(l.quantity), 0) FROM {LINES}
     WHERE l.flavor = flavor.id AND o.status IN ({LIVE_STATUSES})))"""

# PostgreSQL takes ids from sequences. After a restored backup, a sequence may be behind and yield
# ids that are taken, so that every insert fails. Piccolo's own table has a sequence too.
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
    stored = DAY_PATTERN.sub(r"CAST(\g<0> AS text)", keys)
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
    "an order is packed, delivered or returned only after its payment": f"""
        SELECT o.id FROM orders o WHERE o.fulfilment <> 'unfulfilled' AND (
            o.status NOT IN ({CHARGED_STATUSES}) OR (o.total > 0 AND NOT EXISTS (
                SELECT 1 FROM payment p WHERE p."order" = o.id AND p.kind = 'charge'
                AND p.state = 'succeeded')))""",
    "the fulfilment of an order is the last step in its history": f"""
        SELECT o.id FROM orders o WHERE o.fulfilment <> COALESCE((
            SELECT e.type FROM event e WHERE e."order" = o.id AND {FULFILMENT_EVENTS}
            ORDER BY e.seq DESC LIMIT 1), 'unfulfilled')""",
    "each step of a fulfilment names who made it": f"""
        SELECT e."order" FROM event e WHERE {FULFILMENT_EVENTS} AND e.by IS NULL""",
    "no more of a line is refunded, or put back, than was ordered": """
        SELECT l.id FROM order_line l JOIN refund_line r ON r.line = l.id
            JOIN payment p ON p.id = r.payment
        GROUP BY l.id, l.quantity
        HAVING sum(CASE WHEN p.state IN ('declined', 'void') THEN 0 ELSE r.quantity END)
            > l.quantity OR sum(CASE WHEN r.restocked THEN r.quantity ELSE 0 END) > l.quantity""",
    "an order whose goods were put back is not canceled too": """
        SELECT DISTINCT o.id FROM orders o JOIN order_line l ON l."order" = o.id
            JOIN refund_line r ON r.line = l.id
        WHERE o.status = 'canceled' AND r.restocked""",
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
    "webhooks are not queued beyond the feed": """
        SELECT position FROM webhook_progress
        WHERE position > (SELECT COALESCE(sum(last), 0) FROM feed)""",
    "a webhook delivery is pending exactly if it is due at some time": """
        SELECT id FROM webhook_delivery WHERE (state = 'pending') <> (due_at IS NOT NULL)""",
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
    answers = {
        rule: await Order.raw(with_local_days(query), *_age_parameter(rule))
        for rule, query in RULES.items()
    }
    return {rule: [tuple(row.values()) for row in rows] for rule, rows in answers.items() if rows}


def with_local_days(statement: str) -> str:
    """Return a statement with the days of orders in the installation's time zone."""
    zone = settings.load().zone
    day = local_days.local_day("o.created_at", zone, is_postgres=IS_POSTGRES)
    return statement.replace(LOCAL_DAY_MARK, day)


def _age_parameter(rule: str) -> list[QueryString]:
    """Return the time parameter of a rule's query, by the database's clock, if it has one."""
    return [database.seconds_from_now(-MIN_AGES[rule].total_seconds())] if rule in MIN_AGES else []
