"""Mutations of requests after an order, manual review, corrections and reconciliation."""

from tests.mutations import at

ACTIONS = "icecream/orders/actions.py"
REVIEW = "icecream/payments/manual_review.py"
ACTIONS_HTTP = "icecream/orders/http/actions.py"
WEBHOOK_INBOX = "icecream/payments/webhook_inbox.py"
CORRECTIONS = "icecream/payments/corrections.py"
RECONCILIATION = "icecream/payments/reconciliation.py"

MUTATIONS = [
    *at(
        "icecream/orders/http/responses.py",
        "tests/orders/http/test_internal_notes.py",
        ("history: customers see internal notes", "with_notes=user.admin", "with_notes=True"),
    ),
    *at(
        ACTIONS,
        "tests/orders/http/test_actions.py",
        (
            "cancel: a repeated cancellation requests a second refund",
            'if row.status == "canceled" or row.cancel_requested:',
            'if row.status == "canceled":',
        ),
        (
            "cancel: the stock is not released",
            "transition.releases_stock = True",
            "pass",
        ),
        (
            "cancel: the voided charge is not counted",
            '        transition.end_payment("charge", "void", row.total)\n',
            "",
        ),
        ("cancel: the job of the charge stays", "await attempts.delete_jobs([payment])", "pass"),
        (
            "cancel: an order whose payment was sent is canceled at once",
            ', Payment.state == "new")\n',
            ")\n",
        ),
        (
            "cancel: an open partial refund is followed by a full refund",
            " and not await balances.has_open_refund(order):",
            ":",
        ),
        (
            "cancel: paid orders are not refunded",
            'if row.status == "paid" and not',
            "if False and not",
        ),
        (
            "pay: the stock is not reserved again",
            "await database.write_together(*stock.statements())",
            "pass",
        ),
        ("pay: an order that is paid is refused", 'in ("pending", "paid"):', 'in ("pending",):'),
        ("pay: a payment method is not required", "if needed and not method:", "if False:"),
        ("pay: the payment forgets its payment method", '"charge", method=method)', "n=n)"),
        (
            "refunds: two are open at a time",
            "if await balances.has_open_refund(order):",
            "if False:",
        ),
        (
            "refunds: a refund may be larger than the amount left",
            "if wanted > balance.refundable or not balance.held:",
            "if not balance.held:",
        ),
        (
            "refunds: the last cent cannot be refunded",
            "if wanted > balance.refundable or not balance.held:",
            "if wanted >= balance.refundable or not balance.held:",
        ),
        (
            "refunds: an order without money left can be refunded",
            "if wanted > balance.refundable or not balance.held:",
            "if wanted > balance.refundable:",
        ),
        (
            "refunds: a refund of all that is left counts as partial",
            'if wanted == balance.refundable and row.status == "paid":',
            "if False:",
        ),
        (
            "refunds: an order that is not paid is refunded",
            'if row.status not in states.ACTIONS["refund"].sources and not',
            "if False and not",
        ),
    ),
    *at(
        ACTIONS_HTTP,
        "tests/orders/http/test_actions.py",
        (
            "changes: the workers are not notified",
            "await state.notify_workers(changed.payments)",
            "",
        ),
    ),
    *at(
        REVIEW,
        "tests/payments/test_manual_review.py",
        ("review: a payment that is tried again has no job", "await Job.insert(Job(", "print(Job("),
        (
            "review: a payment that is tried again is due in 30 years",
            "due = database.seconds_from_now(0)",
            "due = database.seconds_from_now(10**9)",
        ),
        ("review: two payments have one reference", "if await other:", "if False:"),
        (
            "review: a moved amount from before a retry counts",
            "Payment.moved: None}",
            "Payment.state: state}",
        ),
        (
            "review: a decision about a payment that is not parked",
            "if row.state not in states.DECISIONS[name].sources:",
            "if False:",
        ),
        (
            "review: the order is paid and keeps its money",
            "Order.cancel_requested: True",
            "Order.cancel_requested: False",
        ),
        (
            "review: a retry is missing in the history",
            '[order_history.OrderEvent(row.order, "retried", details, by)]',
            "[]",
        ),
        (
            "review: a refund is missing in the history",
            '[order_history.OrderEvent(row.order, "refund-ordered", details, by)]',
            "[]",
        ),
        (
            "review: an operator's reference is not stored",
            "await _set_reference(payment, reference)",
            "pass",
        ),
    ),
    *at(
        REVIEW,
        "tests/payments/test_balances.py",
        (
            "review: a booked refund is missing in the history",
            '[order_history.OrderEvent(row.order, "refund-booked", details, by)]',
            "[]",
        ),
        ("review: a charge is booked", "name == counted]", "counted]"),
        (
            "review: a payment that moved nothing is refunded",
            "moved = bool(payment.moved) and payment.provider_ref is not None",
            "moved = True",
        ),
    ),
    *at(
        "icecream/payments/balances.py",
        "tests/payments/test_balances.py",
        (
            "refunds: any refund includes the surplus",
            "return self.held if requested == self.refundable else requested",
            "return requested + self.charged - self.total",
        ),
        (
            "refunds: a surplus is never refunded",
            "return self.held if requested == self.refundable else requested",
            "return requested",
        ),
        (
            "refunds: more is refunded than was charged",
            "return min(self.total - self.refunded, self.held)",
            "return self.total - self.refunded",
        ),
        (
            "refunds: the moved amount of a booked refund does not count",
            'row["amount"] if row["moved"] is None else row["moved"]',
            'row["amount"]',
        ),
        (
            "refunds: an order that has money left counts as refunded",
            "return min(self.returned, self.total) if self.held else self.total",
            "return self.total",
        ),
        (
            "refunds: refunds that did not succeed count",
            "where=\"state = 'succeeded'\"",
            'where="true"',
        ),
    ),
    *at(
        CORRECTIONS,
        "tests/payments/test_corrections.py",
        (
            "refunds: a failure is written twice",
            '!= ("refund", "succeeded"):',
            '!= ("refund", row["state"]):',
        ),
        (
            "refunds: a failure does not wait for an open refund",
            'if await balances.has_open_refund(row["order"]):',
            "if False:",
        ),
        (
            "refunds: a refund made at the provider does not wait for one of ours",
            "if await balances.has_open_refund(order.id):",
            "if False:",
        ),
        ("refunds: another currency is booked", 'record.currency != row["currency"] or', ""),
        (
            "refunds: a refund made at the provider may be too large",
            " or record.amount > left:",
            ":",
        ),
        (
            "refunds: a refund that failed later counts",
            '            Payment.state: "parked",\n',
            "            Payment.faults: None,\n",
        ),
        (
            "refunds: the order stays refunded when its refund failed",
            'if transition.status == "refunded":',
            "if False:",
        ),
        (
            "refunds: the sum stays when a refund fails after it had succeeded",
            "(await balances.read_balance(order)).refunded - order.refunded",
            "0",
        ),
        (
            "refunds: a later event ends the review of a failed refund",
            '== ("parked", REVERSED)',
            '== ("parked", "never")',
        ),
        (
            "refunds: a refund made at the provider is booked twice",
            "if await Payment.exists().where(Payment.provider_ref == record.reference):",
            "if False:",
        ),
    ),
    *at(
        RECONCILIATION,
        "tests/payments/test_reconciliation.py tests/payments/test_corrections.py",
        (
            "reconciliation: young payments are compared",
            "MIN_PAYMENT_AGE = timedelta(minutes=10)",
            "MIN_PAYMENT_AGE = timedelta(0)",
        ),
        (
            "reconciliation: it compares only one day",
            "COMPARED_PERIOD = timedelta(days=3)",
            "COMPARED_PERIOD = timedelta(days=1)",
        ),
        (
            "reconciliation: the provider's list ends when ours does",
            "until + MIN_PAYMENT_AGE",
            "until",
        ),
        (
            "reconciliation: a charge refunded at the provider is refunded again",
            "refunded[finding.record.reference] >= finding.record.amount",
            "False",
        ),
        (
            "reconciliation: a partial refund counts as a full refund",
            "refunded[finding.record.reference] >= finding.record.amount",
            "refunded[finding.record.reference] > 0",
        ),
        (
            "reconciliation: a failed refund counts",
            ' and record.state == "succeeded":\n            sums',
            ":\n            sums",
        ),
        (
            "reconciliation: payments missing at the provider are not found",
            "if row.id not in seen:",
            "if False:",
        ),
        (
            "reconciliation: a payment that never succeeded counts as missing",
            'sent & (Payment.state == "succeeded"), 0',
            "sent, 0",
        ),
        (
            "reconciliation: our refunds of unknown charges are findings",
            'if not (record.key or "").startswith(remedies.RECONCILED_KEY_PREFIX):',
            "if True:",
        ),
        (
            "reconciliation: the last chunk is left out",
            "    if records:\n        yield records",
            "    if False:\n        yield records",
        ),
        (
            "reconciliation: after no answer it waits for a day",
            "delay = RETRY_DELAY",
            "delay = INTERVAL",
        ),
        (
            "reconciliation: two workers compare at once",
            "if not await database.for_update_skip_locked(Job.select(Job.id).where(*due)):",
            "if False:",
        ),
        (
            "reconciliation: no worker takes over from a dead worker",
            "database.seconds_from_now(LEASE_DURATION.total_seconds())",
            "database.seconds_from_now(10**9)",
        ),
        (
            "reconciliation: a charge with an unknown refund is refunded",
            'return Finding("look", reason, finding.order',
            'return Finding("refund", reason, finding.order',
        ),
    ),
    *at(
        "icecream/payments/differences.py",
        "tests/payments/test_reconciliation.py tests/payments/test_corrections.py",
        (
            "reconciliation: a charge is matched by its order's number",
            "return Finding(action, reason, None, None, record)",
            "return Finding(action, reason, record.order, None, record)",
        ),
        (
            "reconciliation: the charge of a new payment is refunded",
            ' and row.state != "new"\n        action:',
            "\n        action:",
        ),
        (
            "reconciliation: any declined refund is a failure of our refund",
            'record.state == "declined" and record.reference == row.provider_ref',
            'record.state == "declined"',
        ),
        (
            "reconciliation: a declined record is a finding",
            'if record.state != "succeeded":\n        return None',
            "if False:\n        return None",
        ),
        (
            "reconciliation: a refund of a failed charge is booked",
            'if charge is not None and charge.state == "succeeded":',
            "if charge is not None:",
        ),
        (
            "reconciliation: another currency is no difference",
            "(record.amount, record.currency) == (amount, row.currency)",
            "record.amount == amount",
        ),
        (
            "reconciliation: another amount is no difference",
            "(record.amount, record.currency) == (amount, row.currency)",
            "record.currency == row.currency",
        ),
        (
            "reconciliation: a payment in progress is adopted",
            'if record.state != "processing":',
            "if True:",
        ),
        (
            "reconciliation: a second charge under one key is not seen",
            "if record.reference != row.provider_ref:",
            "if False:",
        ),
        (
            "reconciliation: a parked amount is adopted",
            'if row.state == "parked" and moved and _describe_amounts',
            "if False and _describe_amounts",
        ),
        (
            "reconciliation: money for a declined payment is kept",
            "    elif moved:\n",
            "    elif False:\n",
        ),
    ),
    *at(
        "icecream/payments/remedies.py",
        "tests/payments/test_reconciliation.py tests/payments/test_corrections.py",
        (
            "reconciliation: each decision is another refund",
            "hashlib.sha256(record.reference.encode())",
            "hashlib.sha256(datetime.now(UTC).isoformat().encode())",
        ),
        (
            "reconciliation: a declined refund counts as a refund",
            "return isinstance(known, Succeeded)",
            "return known is not None",
        ),
        (
            "reconciliation: a refund in progress is made again",
            "        return True\n    return isinstance",
            "        return False\n    return isinstance",
        ),
        (
            "reconciliation: a declined record is adopted as a success",
            'if record.state == "succeeded"\n',
            "if True\n",
        ),
        (
            "reconciliation: a declined refund is reported as done",
            "if isinstance(answer, Declined):\n        return RemedyResult",
            "if False:\n        return RemedyResult",
        ),
        (
            "reconciliation: a refund is missing in the history",
            "await _record_refund(finding.order, request)",
            "pass",
        ),
        (
            "reconciliation: a refund is in the history twice",
            '["key"] == refund.key for row in events)',
            '["key"] != refund.key for row in events)',
        ),
    ),
    *at(
        WEBHOOK_INBOX,
        "tests/payments/test_webhook_inbox.py tests/payments/test_corrections.py",
        (
            "webhooks: a refund that succeeded is never looked up again",
            '(Payment.kind == "charge") | (Payment.state != "succeeded")',
            '(Payment.kind != "")',
        ),
        (
            "webhooks: the payment is looked up at once",
            "LOOKUP_DELAY = timedelta(seconds=5)",
            "LOOKUP_DELAY = timedelta(0)",
        ),
        (
            "webhooks: the payment of an applied event is looked up",
            "if inserted and not ended:",
            "if inserted:",
        ),
        (
            "webhooks: a payment that another worker carries out is looked up",
            'state == "sent" and age <',
            'state == "sent" and age >',
        ),
        ("webhooks: an old event is retried for ever", "elif event.is_old:", "elif False:"),
        (
            "webhooks: a payment that was not sent is looked up",
            'if payment is None or payment["state"] == "new":',
            "if payment is None:",
        ),
        (
            "webhooks: an applied event is kept for a day",
            "RETENTION = timedelta(days=30)",
            "RETENTION = timedelta(days=1)",
        ),
        (
            "webhooks: the job of an applied event stays",
            "    await _delete_jobs([event.id])\n    await Notice.update",
            "    await Notice.update",
        ),
        (
            "webhooks: a second failure does not wait for an open refund",
            "except errors.RefundInProgress:",
            "except ZeroDivisionError:",
        ),
        (
            "webhooks: no step follows a full one",
            "return len(ids) == MAX_EVENTS_PER_PRUNE",
            "return False",
        ),
    ),
]
