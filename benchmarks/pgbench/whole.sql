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
INSERT INTO total_change (flavor, "user", day, local_day, quarter, status, quantity, orders, revenue, refunded)
SELECT flavor, "user", (now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date,
    extract(epoch FROM now())::bigint / 900, 'pending', :orders, :orders, :orders * 250, 0
FROM (VALUES (:flavor::bigint, NULL::bigint), (NULL, 1)) AS changed (flavor, "user");
COMMIT;
