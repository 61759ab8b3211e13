-- Several orders in one transaction, with all rows that our service writes for them.
BEGIN;
SELECT id, price, stock FROM flavor WHERE id = :flavor FOR NO KEY UPDATE;
UPDATE flavor SET stock = stock - :orders WHERE id = :flavor;
WITH placed AS (
    INSERT INTO orders ("user", status, total, refunded, currency, cancel_requested, created_at)
    SELECT 1, 'pending', 250, 0, 'EUR', false, now() FROM generate_series(1, :orders)
    RETURNING id
), lines AS (
    INSERT INTO order_line ("order", flavor, quantity, unit_price) SELECT id, :flavor, 1, 250 FROM placed
), history AS (
    INSERT INTO event ("order", seq, type, payload, "by", at)
    SELECT id, 1, 'placed', '{"total":250}', 1, now() FROM placed
    RETURNING id
), unpublished AS (
    INSERT INTO unpublished (events) SELECT json_agg(id ORDER BY id) FROM history
), payments AS (
    INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries)
    SELECT id, 'charge', 1, 'new', replace(gen_random_uuid()::text, '-', ''), 250, 0 FROM placed
    RETURNING id
)
INSERT INTO job (kind, subject, customer, run_at, tries) SELECT 'charge', id, 1, now(), 0 FROM payments;
INSERT INTO flavor_total AS old (flavor, status, quantity, orders, revenue, refunded)
VALUES (:flavor, 'pending', :orders, :orders, :orders * 250, 0)
ON CONFLICT (flavor, status) DO UPDATE SET
    quantity = old.quantity + excluded.quantity,
    orders = old.orders + excluded.orders,
    revenue = old.revenue + excluded.revenue;
INSERT INTO flavor_day AS old (flavor, day, status, quantity, orders, revenue, refunded)
VALUES (:flavor, (now() AT TIME ZONE 'UTC')::date, 'pending', :orders, :orders, :orders * 250, 0)
ON CONFLICT (flavor, day, status) DO UPDATE SET
    quantity = old.quantity + excluded.quantity,
    orders = old.orders + excluded.orders,
    revenue = old.revenue + excluded.revenue;
INSERT INTO customer_day AS old ("user", day, status, quantity, orders, revenue, refunded)
VALUES (1, (now() AT TIME ZONE 'UTC')::date, 'pending', :orders, :orders, :orders * 250, 0)
ON CONFLICT ("user", day, status) DO UPDATE SET
    quantity = old.quantity + excluded.quantity,
    orders = old.orders + excluded.orders,
    revenue = old.revenue + excluded.revenue;
INSERT INTO day_total AS old (day, status, quantity, orders, revenue, refunded)
VALUES ((now() AT TIME ZONE 'UTC')::date, 'pending', :orders, :orders, :orders * 250, 0)
ON CONFLICT (day, status) DO UPDATE SET
    quantity = old.quantity + excluded.quantity,
    orders = old.orders + excluded.orders,
    revenue = old.revenue + excluded.revenue;
COMMIT;
