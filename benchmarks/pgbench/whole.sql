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
), payments AS (
    INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries)
    SELECT id, 'charge', 1, 'new', replace(gen_random_uuid()::text, '-', ''), 250, 0 FROM placed
    RETURNING id
)
INSERT INTO job (kind, subject, run_at, tries) SELECT 'charge', id, now(), 0 FROM payments;
INSERT INTO flavor_total (flavor, status, quantity, revenue) VALUES (:flavor, 'pending', :orders, :orders * 250)
ON CONFLICT (flavor, status) DO UPDATE SET
    quantity = flavor_total.quantity + excluded.quantity,
    revenue = flavor_total.revenue + excluded.revenue;
INSERT INTO flavor_day (flavor, day, status, quantity, revenue)
VALUES (:flavor, (now() AT TIME ZONE 'UTC')::date, 'pending', :orders, :orders * 250)
ON CONFLICT (flavor, day, status) DO UPDATE SET
    quantity = flavor_day.quantity + excluded.quantity,
    revenue = flavor_day.revenue + excluded.revenue;
INSERT INTO day_total (day, status, orders, revenue)
VALUES ((now() AT TIME ZONE 'UTC')::date, 'pending', :orders, :orders * 250)
ON CONFLICT (day, status) DO UPDATE SET
    orders = day_total.orders + excluded.orders,
    revenue = day_total.revenue + excluded.revenue;
COMMIT;
