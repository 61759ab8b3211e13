"""Mutations of requests after an order, manual review, corrections and reconciliation."""

from tests.mutations import at

REQUESTS, PARKED = "icecream/orders/actions.py", "icecream/payments/manual_review.py"
CHANGES, NOTICES = "icecream/orders/http/actions.py", "icecream/payments/webhook_inbox.py"
CORRECTIONS, RECONCILIATION = (
    "icecream/payments/corrections.py",
    "icecream/payments/reconciliation.py",
)

MUTATIONS = [
    *at(
        REQUESTS,
        "tests/orders/http/test_actions.py",
        (
            "cancel: a second time asks for a second refund",
            'if row["status"] == "canceled" or row["cancel_requested"]:',
            'if row["status"] == "canceled":',
        ),
        (
            "cancel: the stock is not given back",
            '        transition.releases_stock = True\n        transition.enter("canceled", by)',
            '        transition.enter("canceled", by)',
        ),
        ("cancel: the job of the charge stays", "await settlement.delete_jobs([payment])", "pass"),
        (
            "cancel: an order whose payment was sent is canceled at once",
            ', Payment.state == "new")\n',
            ")\n",
        ),
        (
            "cancel: what is being refunded in part is refunded whole",
            " and not await balances.has_open_refund(order):",
            ":",
        ),
        (
            "cancel: paid orders are not given back",
            'if row["status"] == "paid" and not',
            "if False and not",
        ),
        ("pay: the stock is not taken again", "await stock.save()", "pass"),
        ("pay: an order that is paid is refused", 'in ("pending", "paid"):', 'in ("pending",):'),
        ("pay: a payment method is not asked for", "if needed and not method:", "if False:"),
        ("pay: the payment forgets its payment method", "n=n, method=method)", "n=n)"),
        (
            "refunds: two are open at a time",
            "if await balances.has_open_refund(order):",
            "if False:",
        ),
        (
            "refunds: more than is left may be given back",
            "if wanted > balance.refundable or not balance.held:",
            "if not balance.held:",
        ),
        (
            "refunds: the last cent is kept",
            "if wanted > balance.refundable or not balance.held:",
            "if wanted >= balance.refundable or not balance.held:",
        ),
        (
            "refunds: nothing is given back of nothing",
            "if wanted > balance.refundable or not balance.held:",
            "if wanted > balance.refundable:",
        ),
        (
            "refunds: all that is left is a part",
            'if wanted == balance.refundable and row["status"] == "paid":',
            "if False:",
        ),
        (
            "refunds: an order that is not paid is refunded",
            'if row["status"] not in states.ACTIONS["refund"].sources and not',
            "if False and not",
        ),
    ),
    *at(
        CHANGES,
        "tests/orders/http/test_actions.py",
        ("changes: the workers are not notified", "if changed.payments:", "if False:"),
    ),
    *at(
        PARKED,
        "tests/payments/test_manual_review.py",
        ("review: a payment that is tried again has no job", "await Job.insert(Job(", "print(Job("),
        (
            "review: a payment that is tried again is due in 30 years",
            "due = database.seconds_from_now(0)",
            "due = database.seconds_from_now(10**9)",
        ),
        ("review: one reference is of two payments", "if await other:", "if False:"),
        (
            "review: what was heard before a retry counts",
            "Payment.moved: None}",
            "Payment.state: state}",
        ),
        (
            "review: what is not parked is decided",
            'if row["state"] not in states.DECISIONS[name].sources:',
            "if False:",
        ),
        (
            "review: the order is paid and keeps its money",
            "Order.cancel_requested: True",
            "Order.cancel_requested: False",
        ),
        (
            "review: the history does not tell of a retry",
            '[order_history.OrderEvent(row["order"], "retried", details, by)]',
            "[]",
        ),
        (
            "review: the history does not tell of a refund",
            '[order_history.OrderEvent(row["order"], "refund-ordered", details, by)]',
            "[]",
        ),
        (
            "review: an operator's reference is not kept",
            "await _set_reference(payment, reference)",
            "pass",
        ),
    ),
    *at(
        PARKED,
        "tests/payments/test_balances.py",
        (
            "review: the history does not tell of a refund that is booked",
            '[order_history.OrderEvent(row["order"], "refund-booked", details, by)]',
            "[]",
        ),
        ("review: a charge is booked", "name == counted]", "counted]"),
        (
            "review: what was never charged is refunded",
            'moved = bool(row["moved"]) and row["provider_ref"] is not None',
            "moved = True",
        ),
    ),
    *at(
        "icecream/payments/balances.py",
        "tests/payments/test_balances.py",
        (
            "refunds: a surplus goes back with any refund",
            "return self.held if requested == self.refundable else requested",
            "return requested + self.charged - self.total",
        ),
        (
            "refunds: what was charged too much is kept",
            "return self.held if requested == self.refundable else requested",
            "return requested",
        ),
        (
            "refunds: more is given back than was charged",
            "return min(self.total - self.refunded, self.held)",
            "return self.total - self.refunded",
        ),
        (
            "refunds: what a booked one moved does not count",
            'row["amount"] if row["moved"] is None else row["moved"]',
            'row["amount"]',
        ),
        (
            "refunds: an order that has money left counts as refunded",
            "return min(self.returned, self.total) if self.held else self.total",
            "return self.total",
        ),
        (
            "refunds: those that did not succeed count as given back",
            ', Payment.state == "succeeded"\n',
            "\n",
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
            "refunds: one at the provider does not wait for one of ours",
            'if await balances.has_open_refund(order["id"]):',
            "if False:",
        ),
        ("refunds: another currency is booked", 'record.currency != row["currency"] or', ""),
        (
            "refunds: one at the provider may be too large",
            " or record.amount > left:",
            ":",
        ),
        (
            "refunds: one that failed afterwards counts as given back",
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
            '(await balances.read_balance(order)).refunded - order["refunded"]',
            "0",
        ),
        (
            "refunds: a later notice ends the review of a failed refund",
            '== ("parked", REVERSED)',
            '== ("parked", "never")',
        ),
        (
            "refunds: one at the provider is booked twice",
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
            "reconciliation: it looks back for a day only",
            "COMPARED_PERIOD = timedelta(days=3)",
            "COMPARED_PERIOD = timedelta(days=1)",
        ),
        (
            "reconciliation: the provider's list ends when ours does",
            "until + MIN_PAYMENT_AGE",
            "until",
        ),
        (
            "reconciliation: what was given back at the provider is given back again",
            "refunded[finding.record.reference] >= finding.record.amount",
            "False",
        ),
        (
            "reconciliation: a part of what was given back counts as all",
            "refunded[finding.record.reference] >= finding.record.amount",
            "refunded[finding.record.reference] > 0",
        ),
        (
            "reconciliation: a refund that failed counts as given back",
            ' and record.state == "succeeded":\n            sums',
            ":\n            sums",
        ),
        (
            "reconciliation: what their list lacks is not seen",
            "if row.id not in seen:",
            "if False:",
        ),
        (
            "reconciliation: what never succeeded is missed in their list",
            'sent & (Payment.state == "succeeded"), 0',
            "sent, 0",
        ),
        (
            "reconciliation: our own refunds of strange charges are findings",
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
            "reconciliation: nobody compares if a worker dies",
            "database.seconds_from_now(LEASE_DURATION.total_seconds())",
            "database.seconds_from_now(10**9)",
        ),
        (
            "reconciliation: what cannot be decided is given back",
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
            "reconciliation: a charge whose payment is new is given back",
            ' and row.state != "new"\n        action:',
            "\n        action:",
        ),
        (
            "reconciliation: any declined refund is a failure of ours",
            'record.state == "declined" and record.reference == row.provider_ref',
            'record.state == "declined"',
        ),
        (
            "reconciliation: what was declined is a finding",
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
            "reconciliation: what is still processed is adopted",
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
            "reconciliation: a declined refund counts as given back",
            "return isinstance(known, Succeeded)",
            "return known is not None",
        ),
        (
            "reconciliation: a refund under way is given back again",
            "        return True\n    return isinstance",
            "        return False\n    return isinstance",
        ),
        (
            "reconciliation: a declined record is adopted as a success",
            'if record.state == "succeeded"\n',
            "if True\n",
        ),
        (
            "reconciliation: a declined refund is told as done",
            "if isinstance(answer, Declined):\n        return RemedyResult",
            "if False:\n        return RemedyResult",
        ),
        (
            "reconciliation: the history does not tell of a refund",
            "await _record_refund(finding.order, request)",
            "pass",
        ),
        (
            "reconciliation: the history tells of a refund twice",
            '["key"] == refund.key for row in events)',
            '["key"] != refund.key for row in events)',
        ),
    ),
    *at(
        NOTICES,
        "tests/payments/test_webhook_inbox.py tests/payments/test_corrections.py",
        (
            "notices: a refund that succeeded is never looked up again",
            '(Payment.kind == "charge") | (Payment.state != "succeeded")',
            '(Payment.kind != "")',
        ),
        (
            "notices: it is looked up at once",
            "LOOKUP_DELAY = timedelta(seconds=5)",
            "LOOKUP_DELAY = timedelta(0)",
        ),
        (
            "notices: one that was applied is looked up",
            "if inserted and not ended:",
            "if inserted:",
        ),
        (
            "notices: a payment in other hands is asked for",
            'payment["state"] == "sent" and age <',
            'payment["state"] == "sent" and age >',
        ),
        ("notices: one that is old is tried for ever", "elif event.is_old:", "elif False:"),
        (
            "notices: a payment that was not sent is asked for",
            'payment["state"] == "new" or',
            "False or",
        ),
        (
            "notices: an applied one is kept for a day",
            "RETENTION = timedelta(days=30)",
            "RETENTION = timedelta(days=1)",
        ),
        (
            "notices: the job of an applied one stays",
            "    await _delete_jobs([event.id])\n    await Notice.update",
            "    await Notice.update",
        ),
        (
            "notices: a second failure does not wait for an open refund",
            "except errors.RefundInProgress:",
            "except ZeroDivisionError:",
        ),
        (
            "notices: after a full step no other one follows",
            "return len(ids) == MAX_EVENTS_PER_PRUNE",
            "return False",
        ),
    ),
]
