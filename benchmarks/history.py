"""Fill all tables of a database with the orders of three years."""

from collections.abc import Callable

from benchmarks.databases import psql

FLAVORS = 20
# The progress line shows one step per transaction.
ORDERS_PER_TRANSACTION = 500_000
USERS_AND_FLAVORS = f"""
INSERT INTO users (username, password, active, admin, superuser)
    VALUES ('shop', '', true, false, false);
INSERT INTO flavor (name, description, price, archived, version)
    SELECT 'Flavor ' || n, '', 200 + n, false, 1 FROM generate_series(2, {FLAVORS}) n;
"""
# All values follow from the number of the order, so each table can be filled independently. Foreign
# keys are not checked meanwhile. One order in ten failed. Each `apart`-th order is the caller's.
# The times are spread evenly over the three years up to today.
ORDERS = """
SET session_replication_role = replica;
CREATE TEMP VIEW wanted AS
    SELECT n, f.id AS flavor, n % 5 + 1 AS quantity, f.price,
        CASE n % 10 WHEN 3 THEN 'failed' ELSE 'paid' END AS status,
        CASE n % {apart} WHEN 0 THEN 1 ELSE 2 END AS "user",
        date_trunc('day', now()) - interval '3 years' * (1 - n::float8 / {orders}) AS at
    FROM generate_series({first}::bigint, {last}::bigint) n
    JOIN flavor f ON f.id = n / 10 % {flavors} + 1;
INSERT INTO orders (id, "user", status, total, refunded, currency, cancel_requested, created_at)
    SELECT n, "user", status, quantity * price, 0, 'EUR', false, at FROM wanted;
INSERT INTO order_line (id, "order", flavor, quantity, unit_price)
    SELECT n, n, flavor, quantity, price FROM wanted;
INSERT INTO payment (id, "order", kind, n, state, provider_key, provider_ref, amount,
        first_sent_at, tries)
    SELECT n, n, 'charge', 1, CASE status WHEN 'paid' THEN 'succeeded' ELSE 'declined' END,
        lpad(n::text, 32, '0'), CASE status WHEN 'paid' THEN 'sim_' || lpad(n::text, 32, '0') END,
        quantity * price, at, 1
    FROM wanted;
INSERT INTO event (id, "order", seq, type, payload, "by", at, position)
    SELECT 2 * n - 1, n, 1, 'placed', json_build_object('total', quantity * price), "user", at,
        2 * n - 1 FROM wanted
    UNION ALL SELECT 2 * n, n, 2, status, json_build_object('payment', n), NULL, at, 2 * n
        FROM wanted;
"""
TOTALS = """
UPDATE feed SET last = (SELECT count(*) FROM event);
CREATE TEMP VIEW sold AS
    SELECT o.id AS "order", l.flavor, o."user", (o.created_at AT TIME ZONE 'UTC')::date AS day,
        o.status,
        floor(extract(epoch FROM o.created_at))::bigint / 900 AS quarter,
        l.quantity, l.quantity * l.unit_price AS revenue
    FROM orders o JOIN order_line l ON l."order" = o.id;
INSERT INTO flavor_day (flavor, day, local_day, status, quantity, orders, revenue, refunded)
    SELECT flavor, day, day, status, sum(quantity), count(*), sum(revenue), 0
    FROM sold GROUP BY 1, 2, 3, 4;
INSERT INTO flavor_total (flavor, status, quantity, orders, revenue, refunded)
    SELECT flavor, status, sum(quantity), sum(orders), sum(revenue), 0
    FROM flavor_day GROUP BY 1, 2;
INSERT INTO customer_day ("user", day, local_day, status, quantity, orders, revenue, refunded)
    SELECT "user", day, day, status, sum(quantity), count(*), sum(revenue), 0
    FROM sold GROUP BY 1, 2, 3, 4;
INSERT INTO day_total (day, local_day, status, quantity, orders, revenue, refunded)
    SELECT day, local_day, status, sum(quantity), sum(orders), sum(revenue), 0
    FROM customer_day GROUP BY 1, 2, 3;
INSERT INTO quarter_total (quarter, status, quantity, orders, revenue, refunded)
    SELECT quarter, status, sum(quantity), count(DISTINCT "order"), sum(revenue), 0
    FROM sold GROUP BY 1, 2;
INSERT INTO payment_day (kind, state, day, local_day, quantity, orders, revenue, refunded)
    SELECT 'charge', CASE status WHEN 'paid' THEN 'succeeded' ELSE 'declined' END, day, day,
        count(*), 0, sum(revenue), 0
    FROM sold GROUP BY 1, 2, 3;
"""
SEQUENCES = ("orders", "order_line", "payment", "event")


def fill(address: str, *, orders: int, mine: int, report: Callable[[str], None]) -> None:
    """Fill a migrated database with settled orders.

    Args:
        orders: the number of orders.
        mine: how many of them belong to the first user.
    """
    psql(address, USERS_AND_FLAVORS)
    for first in range(1, orders + 1, ORDERS_PER_TRANSACTION):
        last = min(orders, first + ORDERS_PER_TRANSACTION - 1)
        report(f"filling: {last:,} of {orders:,} orders")
        values = {"apart": orders // mine, "orders": orders, "first": first, "last": last}
        psql(address, ORDERS.format(**values, flavors=FLAVORS))
    report("filling: totals")
    psql(address, TOTALS)
    for table in SEQUENCES:
        psql(address, f"SELECT setval('{table}_id_seq', max(id)) FROM {table}")
    psql(address, "VACUUM ANALYZE")


# Orders that were placed a moment ago and wait for a worker, of a hundred customers.
CUSTOMERS = """
INSERT INTO users (username, password, active, admin, superuser)
    SELECT 'customer ' || n, '', true, false, false FROM generate_series(1, 100) n
    ON CONFLICT DO NOTHING;
"""
DUE_ORDERS = """
SET session_replication_role = replica;
CREATE TEMP TABLE customers AS
    SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM users WHERE username LIKE 'customer %';
CREATE TEMP TABLE placed AS WITH new AS (
    INSERT INTO orders ("user", status, total, refunded, currency, cancel_requested, created_at)
    SELECT customers.id, 'pending', f.price, 0, 'EUR', false, now()
    FROM generate_series(1, {orders}) i JOIN customers ON customers.n = i % 100
    JOIN flavor f ON f.id = 1
    RETURNING id, "user", total
) SELECT *, (now() AT TIME ZONE 'UTC')::date AS today,
    floor(extract(epoch FROM now()))::bigint / 900 AS quarter FROM new;
INSERT INTO order_line ("order", flavor, quantity, unit_price, refunded)
    SELECT id, 1, 1, total, 0 FROM placed;
INSERT INTO event ("order", seq, type, payload, "by", at, position)
    SELECT id, 1, 'placed', json_build_object('total', total), "user", now(),
        (SELECT last FROM feed) + row_number() OVER (ORDER BY id) FROM placed;
UPDATE feed SET last = last + {orders};
WITH payments AS (
    INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries)
    SELECT id, 'charge', 1, 'new',
        lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
            || left(replace(gen_random_uuid()::text, '-', ''), 20),
        total, 0 FROM placed
    RETURNING id, "order"
) INSERT INTO job (kind, subject, customer, run_at, tries)
    SELECT 'charge', payments.id, "user", now(), 0
    FROM payments JOIN placed ON placed.id = payments."order";
INSERT INTO total_change (flavor, day, local_day, quarter, status, quantity, orders, revenue,
        refunded)
    SELECT 1, today, today, quarter, 'pending', count(*), count(*), sum(total), 0
    FROM placed GROUP BY today, quarter;
INSERT INTO total_change ("user", day, local_day, quarter, status, quantity, orders, revenue,
        refunded)
    SELECT "user", today, today, quarter, 'pending', count(*), count(*), sum(total), 0
    FROM placed GROUP BY 1, today, quarter;
"""


def add_due_orders(address: str, orders: int, report: Callable[[str], None]) -> None:
    """Add pending orders with due jobs, as if they had been placed just now."""
    psql(address, CUSTOMERS)
    for done in range(0, orders, ORDERS_PER_TRANSACTION):
        number = min(orders - done, ORDERS_PER_TRANSACTION)
        psql(address, DUE_ORDERS.format(orders=number))
        report(f"filling: {done + number:,} of {orders:,} due orders")
    psql(address, "VACUUM ANALYZE")
