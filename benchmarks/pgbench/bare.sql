-- One order per transaction, with the fewest statements: reserve the stock, insert the order.
BEGIN;
UPDATE flavor SET stock = stock - 1 WHERE id = :flavor AND stock >= 1;
INSERT INTO orders ("user", status, total, refunded, currency, cancel_requested, created_at)
VALUES (1, 'pending', 250, 0, 'EUR', false, now());
COMMIT;
