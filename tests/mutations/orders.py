"""Mutations of placing orders: batches, idempotency keys, stock, totals."""

from tests.mutations import at

PLACING = "icecream/orders/placing.py"
KEYS = "icecream/idempotency/keys.py"
STOCK = "icecream/catalogue/inventory.py"
TOTALS = "icecream/reporting/totals.py"
STOCK_TESTS = "tests/catalogue/test_inventory.py tests/catalogue/test_flavors.py"
TOTALS_TESTS = "tests/reporting/test_totals.py tests/reporting/test_local_days.py"
APPLYING = "icecream/reporting/applying.py"
APPLYING_TESTS = "tests/reporting/test_applying.py"
KEYS_TESTS = "tests/idempotency/test_keys.py -k 'not kill'"

MUTATIONS = [
    *at(
        PLACING,
        "tests/orders/test_placing.py",
        (
            "placing: orders do not reserve stock",
            "            *stock.statements(),\n",
            "",
        ),
        (
            "placing: an order has no job",
            "*attempts.attempt_inserts(charges),",
            "*attempts.attempt_inserts(charges)[:1],",
        ),
        (
            "placing: the totals do not count new orders",
            "            *totals.update_statements(sales),\n",
            "",
        ),
        (
            "placing: the total leaves out the quantity",
            "sum(line.total for line in lines)",
            "sum(line.unit_price for line in lines)",
        ),
        (
            "placing: a free order is never paid",
            '"pending" if self.total else "paid"',
            '"pending"',
        ),
        (
            "placing: a free order is charged",
            "        if order.total\n",
            "",
        ),
        (
            "placing: the history of a free order ends before it is paid",
            "[placed] if order.total else [placed, paid]",
            "[placed]",
        ),
        (
            "placing: the workers are not notified",
            "await self._notify(list(staged), list(staged.values()))",
            "pass",
        ),
        (
            "placing: closing does not wait for the notification of the workers",
            "await self._notifier\n",
            "pass\n",
        ),
        (
            "placing: a payment during a notification is not in the next one",
            "while self._staged:",
            "if self._staged:",
        ),
    ),
    *at(
        PLACING,
        "tests/orders/http/test_actions.py tests/payments/http/test_methods.py "
        "-k 'method or card or paid_with'",
        (
            "placing: an order is placed without a payment method",
            "if settings.load().needs_payment_method and not request.method:",
            "if False:",
        ),
        (
            "placing: the payment forgets its payment method",
            "method=order.method",
            "method=None",
        ),
    ),
    *at(
        PLACING,
        "tests/orders/test_order_ids.py",
        (
            "placing: what this process knows refuses an order",
            "if data.is_known and any(",
            "if False and any(",
        ),
        (
            "placing: a write that was refused is repeated with the same data",
            "                ids.pause()\n",
            "                pass\n",
        ),
        database="postgres",
    ),
    *at(
        "icecream/orders/order_ids.py",
        "tests/orders/test_order_ids.py",
        ("ids: old ids are used", "self._ids[0][0] < oldest:", "False:"),
        ("ids: too few ids are used", "if len(self._ids) < count:", "if not self._ids:"),
        (
            "ids: ids are taken right after a refused write",
            "return 0 if is_paused else max",
            "return max",
        ),
        database="postgres",
    ),
    *at(
        PLACING,
        "tests/http/test_metrics.py -k orders",
        (
            "placing: a replay is counted as an order",
            'instrumentation.count_orders("placed", len(placed) - replayed)',
            'instrumentation.count_orders("placed", len(placed))',
        ),
    ),
    *at(
        PLACING,
        KEYS_TESTS,
        (
            "keys: a key that occurs twice in a batch is not detected",
            "known[request.key.name] = (request.key.fingerprint, new)",
            "pass",
        ),
        (
            "keys: the key of an order is not stored",
            "keys.response_insert(responses, at=now),",
            "keys.response_insert([], at=now),",
        ),
        (
            "keys: another order under a used key is a replay",
            "return _Replay(first) if fingerprint == key.fingerprint else",
            "return _Replay(first) if True else",
        ),
    ),
    *at(
        KEYS,
        KEYS_TESTS,
        (
            "keys: the fingerprint leaves out the path",
            '[method, path.rstrip("/"), body]',
            "[method, body]",
        ),
        (
            "keys: the fingerprint leaves out the method",
            '[method, path.rstrip("/"), body]',
            '[path.rstrip("/"), body]',
        ),
        (
            "keys: the fingerprint leaves out the body",
            '[method, path.rstrip("/"), body]',
            '[method, path.rstrip("/")]',
        ),
        (
            "keys: a slash at the end of the path is another request",
            'path.rstrip("/")',
            "path",
        ),
        ("keys: keys are stored for 6 days", "timedelta(days=7)", "timedelta(days=6)"),
        (
            "keys: young keys are deleted",
            "table.created_at < cutoff",
            "table.created_at > over",
        ),
        ("keys: all old keys are deleted in one step", ".limit(MAX_KEYS_PER_PRUNE)", ""),
        (
            "keys: no step follows a full one",
            "return len(rows) == MAX_KEYS_PER_PRUNE",
            "return False",
        ),
        (
            "keys: keys are written in any order",
            "sorted(responses, key=lambda response: response.key.name)",
            "done",
        ),
        (
            "keys: a faster process is not detected",
            "if len(written) < len(rows):",
            "if False:",
        ),
        (
            "keys: the key is stored outside of the transaction",
            "return await database.transaction(run)",
            "return await run()",
        ),
        (
            "keys: the key of a refused request is not checked again",
            "except (errors.Refusal, *database.CONSTRAINT_VIOLATIONS):",
            "except ZeroDivisionError:",
        ),
        (
            "keys: another request under a used key is a replay",
            "if stored.fingerprint != key.fingerprint:",
            "if False:",
        ),
        (
            "keys: 255 characters are too many",
            "len(text) > MAX_KEY_LENGTH",
            "len(text) >= MAX_KEY_LENGTH",
        ),
    ),
    *at(
        "icecream/idempotency/http.py",
        "tests/idempotency/test_http.py tests/orders/http/test_actions.py",
        (
            "keys: a replay is not marked",
            "dict(REPLAY_HEADERS) if replayed else {}",
            "{}",
        ),
        (
            "keys: the fingerprint of a refund leaves out its amount",
            "read_key(field, request, body), work",
            "read_key(field, request), work",
        ),
    ),
    *at(
        "icecream/payments/attempts.py",
        "tests/payments/test_attempts.py",
        (
            "attempts: the provider's key is made from ids",
            "            key,\n",
            '            f"{attempt.order}-{attempt.kind}-{attempt.n}",\n',
        ),
        (
            "attempts: payments of the same moment have the same key",
            "secrets.token_hex(10 * count)",
            '"0" * 20 * count',
        ),
        (
            "attempts: the second attempt has the number of the first",
            "return before + 1",
            "return max(before, 1)",
        ),
        (
            "attempts: charges and refunds are numbered together",
            "Payment.order == order, Payment.kind == kind",
            "Payment.order == order",
        ),
    ),
    *at(
        STOCK,
        f"{STOCK_TESTS} {TOTALS_TESTS}",
        (
            "stock: reservations of the same batch are not counted",
            "stock - self._reserved[flavor])",
            "stock)",
        ),
        (
            "stock: the last piece cannot be sold",
            ") < quantities[flavor]",
            ") <= quantities[flavor]",
        ),
        ("stock: orders add to the stock", '"stock - {reserved}"', '"stock + {reserved}"'),
        (
            "stock: archived flavors are sold",
            '_ON_SALE = "NOT archived"',
            '_ON_SALE = "true"',
        ),
        (
            "stock: the last piece cannot be lost",
            "if left + quantity < 0:",
            "if left + quantity <= 0:",
        ),
        (
            "stock: the largest stock cannot be received",
            "left + quantity > MAX_STOCK",
            "left + quantity >= MAX_STOCK",
        ),
        (
            "stock: sales before counting started are forgotten",
            "await _uncounted_quantity(flavor)), *moves]",
            "0), *moves]",
        ),
        (
            "stock: failed orders count when counting begins",
            "total.flavor == flavor, total.status.is_in(list(states.LIVE_STATUSES))",
            "total.flavor == flavor",
        ),
        (
            "stock: only one of two orders releases its stock",
            "released[line.flavor] += line.quantity",
            "released[line.flavor] = line.quantity",
        ),
    ),
    *at(
        STOCK,
        STOCK_TESTS,
        (
            "stock: more is sold than there is",
            "stock >= {{reserved}} AND ",
            "",
        ),
        (
            "stock: a flavor may change while an order is placed",
            "[_ON_SALE, *(f",
            "[_ON_SALE, *('true' or f",
        ),
        (
            "stock: an archived flavor is sold once more",
            "[_ON_SALE, *(f",
            "['true', *(f",
        ),
        (
            "stock: counting may begin before an order is written",
            "stock IS NULL AND ",
            "",
        ),
        (
            "stock: counting may begin while an order is written",
            'lock="KEY SHARE"\n',
            'lock="KEY SHARE SKIP LOCKED"\n',
        ),
        (
            "stock: a receipt does not lock the stock",
            "await database.for_update(Flavor.select(Flavor.stock).where(Flavor.id == flavor))",
            "await Flavor.select(Flavor.stock).where(Flavor.id == flavor)",
        ),
        database="postgres",
    ),
    *at(
        "icecream/catalogue/order_lines.py",
        "tests/catalogue/test_inventory.py",
        (
            "shares: the share of a line is rounded up",
            "refunded * price // total",
            "-(-refunded * price // total)",
        ),
        (
            "shares: a line also gets the shares of earlier lines",
            "refunded=refunded_so_far - shared",
            "refunded=so_far",
        ),
    ),
    *at(
        STOCK,
        "tests/catalogue/test_product_data.py",
        ("rules: a season has no end", " and (last is None or day <= last)", ""),
        ("rules: a minimum is no rule", "quantity < least or ", ""),
        ("rules: a multiple is no rule", " or quantity % multiple", ""),
    ),
    *at(
        "icecream/orders/details.py",
        "tests/orders/test_details.py",
        ("details: a delivery in the past is possible", "if not first <= self", "if not self"),
        ("details: today ends with UTC's day", "hours=-12", "hours=0"),
    ),
    *at(
        TOTALS,
        TOTALS_TESTS,
        ("totals: an order counts where it was before", "(-1, removed)", "(0, removed)"),
        (
            "totals: all orders count for today",
            "return placed.date(), ",
            "return date.today(), ",
        ),
        (
            "totals: the refunded amount stays in the old status",
            "sign * line.refunded",
            "max(sign, 0) * line.refunded",
        ),
        (
            "totals: an order of two lines is two of its customer",
            "        orders = 0\n",
            "",
        ),
        ("totals: revenue leaves out the price", "quantity * line.unit_price", "quantity"),
        (
            "totals: all days are one day",
            "placed.date(), settings.local_date(placed)",
            "placed.date().replace(day=1), settings.local_date(placed).replace(day=1)",
        ),
        (
            "totals: local days are those of UTC",
            "settings.local_date(placed)",
            "placed.date()",
        ),
        (
            "totals: the changes of customers are missing",
            "        _add(sums, customer, (quantity, orders, revenue, refunded))\n",
            "",
        ),
        (
            "totals: the changes of payments are missing",
            "for one in payments:",
            "for one in payments[:0]:",
        ),
    ),
    *at(
        APPLYING,
        f"{TOTALS_TESTS} {APPLYING_TESTS}",
        (
            "applying: the old value of a total is lost",
            "{name} = {table}.{name} + excluded.{name}",
            "{name} = excluded.{name}",
        ),
        (
            "applying: changes of customers are added to the totals of flavors",
            " WHERE {owner} IS NOT NULL GROUP BY",
            " GROUP BY",
        ),
        (
            "applying: there are never more changes",
            "return number == MAX_CHANGES_PER_BATCH",
            "return False",
        ),
    ),
    *at(
        APPLYING,
        APPLYING_TESTS,
        (
            "applying: an applied change is applied again",
            "DELETE FROM total_change WHERE id IN (SELECT id FROM ({_SELECT_NEXT}))",
            "DELETE FROM total_change WHERE id IN (SELECT id FROM ({_SELECT_NEXT}) WHERE false)",
        ),
    ),
    *at(
        APPLYING,
        APPLYING_TESTS,
        (
            "applying: two processes apply changes at the same time",
            "await database.for_update_skip_locked(TotalProgress.select(*columns))",
            "await TotalProgress.select(*columns)",
        ),
        (
            "applying: the stored start never goes back",
            "not stored <= start < stored + MIN_START_ADVANCE",
            "not start < stored + MIN_START_ADVANCE",
        ),
        (
            "applying: the stored start follows every change",
            "not stored <= start < stored + MIN_START_ADVANCE",
            "stored != start",
        ),
        database="postgres",
    ),
]
