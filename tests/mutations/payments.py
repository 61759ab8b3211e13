"""Mutations of carrying out payments: claims, desk, breaker, shares of places, settlement."""

from tests.mutations import at

CLAIMS, DESK = "icecream/payments/leases.py", "icecream/payments/executor.py"
SETTLEMENT = "icecream/payments/settlement.py"
PAYMENTS_TESTS = "tests/payments/test_payments.py"

MUTATIONS = [
    *at(
        "icecream/payments/providers/protocol.py",
        PAYMENTS_TESTS,
        (
            "gateway: every error of the system is no answer",
            "ConnectionError, TimeoutError, socket.gaierror)",
            "OSError)",
        ),
        ("gateway: an unknown host is a fault of ours", ", socket.gaierror)", ")"),
    ),
    *at(
        CLAIMS,
        PAYMENTS_TESTS,
        (
            "claims: what is not due is claimed",
            "Job.run_at <= database.seconds_from_now(0)",
            "Job.run_at <= database.seconds_from_now(3600)",
        ),
        (
            "claims: the lease is over at once",
            "expiry = database.seconds_from_now(lease_seconds)",
            "expiry = database.seconds_from_now(0)",
        ),
        (
            "claims: a job does not count its tries",
            "Job.tries: Job.tries + 1",
            "Job.tries: Job.tries",
        ),
        (
            "claims: a payment does not count its tries",
            "Payment.tries: Payment.tries + 1",
            "Payment.tries: Payment.tries",
        ),
        (
            "claims: what has ended is sent again",
            'Payment.state.is_in(list(states.sources_of(states.PAYMENT, "sent"))),',
            "",
        ),
        (
            "claims: the time of the first call is overwritten",
            'if row["first_sent_at"] is None]',
            "]",
        ),
        (
            "claims: the job of an ended payment stays",
            "await Job.delete().where(payment_jobs, Job.subject.is_in(sorted(ended)))",
            "pass",
        ),
        (
            "claims: an older try postpones a newer one",
            "            Payment.tries == lease.tries,\n",
            "",
        ),
        (
            "claims: what has ended is postponed",
            '            Payment.state == "sent",\n            Payment.tries',
            "            Payment.tries",
        ),
        (
            "claims: a postponed payment is due at once",
            "later = database.seconds_from_now(seconds)",
            "later = database.seconds_from_now(0)",
        ),
        ("claims: the first pause is doubled", "min(tries - 1, 20)", "min(tries, 20)"),
        (
            "claims: pauses grow without end",
            "min(max_seconds or MAX_RETRY_DELAY_SECONDS, delay)",
            "delay",
        ),
        (
            "claims: the longest pause is two minutes",
            "MAX_RETRY_DELAY_SECONDS = 12.0",
            "MAX_RETRY_DELAY_SECONDS = 120.0",
        ),
        (
            "claims: the provider's reference is forgotten",
            "reference or lease.reference",
            "reference",
        ),
        (
            "claims: an error of ours is not counted",
            "lease.faults + is_internal_error or None",
            "lease.faults or None",
        ),
        (
            "claims: what is tried again takes the places of what is fresh",
            "conditions.append(Job.tries == 0)",
            "pass",
        ),
        (
            "claims: customers without room are asked for",
            "if self.excluded_customers:",
            "if False:",
        ),
        (
            "claims: what nobody ordered waits for ever",
            "Or(Job.customer.is_null(), others)",
            "others",
        ),
    ),
    *at(
        CLAIMS,
        PAYMENTS_TESTS,
        (
            "claims: two workers claim one payment",
            "await database.for_update_skip_locked(_select_due_jobs(ids, job_filter).limit(limit))",
            "await _select_due_jobs(ids, job_filter).limit(limit)",
        ),
        database="postgres",
    ),
    *at(
        DESK,
        PAYMENTS_TESTS,
        (
            "desk: it is looked up before the fourth call",
            "FIRST_TRY_WITH_LOOKUP = 3",
            "FIRST_TRY_WITH_LOOKUP = 4",
        ),
        (
            "desk: it is looked up before the second call",
            "FIRST_TRY_WITH_LOOKUP = 3",
            "FIRST_TRY_WITH_LOOKUP = 2",
        ),
        (
            "desk: a payment is sent when the provider forgot the key",
            "if now - lease.sent_at > life:",
            "if False:",
        ),
        (
            "desk: an old payment that was never sent is not looked up",
            "old = now - lease.known_since > life",
            "old = now - lease.sent_at > life",
        ),
        (
            "desk: a known reference is not looked up",
            "if lease.reference or old",
            "if old",
        ),
        ("desk: a refund without a charge is sent", "if lease.lacks_charge:", "if False:"),
        (
            "desk: what was claimed is left when a later claim fails",
            "await self._acquire(ids, room, acquired)",
            "await self._acquire(ids, room, more := [])\n                acquired = more",
        ),
        ("desk: what was found is not believed", "if known is not None:", "if False:"),
        (
            "desk: six errors of ours park a payment",
            "lease.faults + 1 < MAX_INTERNAL_ERRORS",
            "lease.faults < MAX_INTERNAL_ERRORS",
        ),
        (
            "desk: an error of ours is no fault",
            "is_internal_error=True",
            "is_internal_error=False",
        ),
        (
            "desk: what moved is forgotten when the answer cannot be written",
            "await self._fail(result.lease, error, started_at, result.verified)",
            "await self._fail(result.lease, error, started_at)",
        ),
        (
            "desk: an answer that cannot be written is asked for again for ever",
            "await self._fail(result.lease, error, started_at, result.verified)",
            "raise",
        ),
        (
            "desk: a call without an answer counts as answered",
            "answered=isinstance(error, OutcomeUndecided)\n",
            "answered=True\n",
        ),
        (
            "desk: an undecided answer counts as none",
            "answered=isinstance(error, OutcomeUndecided)\n",
            "answered=False\n",
        ),
        ("desk: what was not carried out is unknown", 'str(error), state="sent"', "str(error)"),
        (
            "desk: a refusal pauses for as long as any other try",
            "MAX_RETRY_DELAY_AFTER_ERROR_SECONDS if refused else None",
            "None",
        ),
        (
            "desk: the reference of an open payment is not kept",
            "repr(error), reference=reference)",
            "repr(error))",
        ),
        (
            "desk: a trial is made for a customer in trouble",
            "in (sorted(breaker.failed_customers), ()):",
            "in ((), ()):",
        ),
        (
            "desk: the provider is asked though the breaker is open",
            " if not self._breakers[kind].is_open]",
            "]",
        ),
        ("desk: a refund is sent as a charge", "if isinstance(request, Charge):", "if True:"),
        (
            "desk: the share of a place is never given back",
            "self._limits.release(lease)",
            "pass",
        ),
        ("desk: a place has no share", "self._limits.acquire(one)", "pass"),
        (
            "desk: nobody looks for what was due while the provider was away",
            "self._limits.mark_skipped(lease.kind)",
            "pass",
        ),
        (
            "desk: what one look had no room for is forgotten",
            "        if started:\n            # There may be more payments than slots.",
            "        if False:\n            # There may be more payments than slots.",
        ),
        (
            "desk: the provider may take as long as it likes",
            "asyncio.timeout(self.timeout)",
            "asyncio.timeout(None)",
        ),
        (
            "desk: it claims while it closes",
            "if room and ids != [] and not self._closing:",
            "if room and ids != []:",
        ),
    ),
    *at(
        "icecream/payments/circuit_breaker.py",
        "tests/payments/test_payments.py -k 'breaker or trial or away or alone or trouble'",
        (
            "breaker: it opens after 11 failures",
            "FAILURES_TO_OPEN = 10",
            "FAILURES_TO_OPEN = 11",
        ),
        (
            "breaker: it opens after 9 failures",
            "FAILURES_TO_OPEN = 10",
            "FAILURES_TO_OPEN = 9",
        ),
        (
            "breaker: two customers open it",
            "CUSTOMERS_TO_OPEN = 3",
            "CUSTOMERS_TO_OPEN = 2",
        ),
        (
            "breaker: an answer does not close it",
            "if answered:\n            self._reset()",
            "if answered:",
        ),
        (
            "breaker: a trial may follow at once",
            "self.is_open and monotonic() >= self._until",
            "self.is_open",
        ),
        (
            "breaker: the pauses do not grow",
            "FIRST_PAUSE_SECONDS * 2**self._trials",
            "FIRST_PAUSE_SECONDS",
        ),
        (
            "breaker: the pauses grow without end",
            "min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2**self._trials)",
            "FIRST_PAUSE_SECONDS * 2**self._trials",
        ),
        (
            "breaker: calls from before it opened make the pause longer",
            "(self._trial_is_running or not was_open)",
            "True",
        ),
        (
            "breaker: a trial does not end the pause",
            "self._trial_is_running, self._until = True, monotonic() + MAX_PAUSE_SECONDS",
            "self._trial_is_running = True",
        ),
        (
            "breaker: the pause begins with a minute",
            "FIRST_PAUSE_SECONDS = 2.0\nMAX_PAUSE_SECONDS = 10.0",
            "FIRST_PAUSE_SECONDS = 60.0\nMAX_PAUSE_SECONDS = 60.0",
        ),
    ),
    *at(
        "icecream/payments/concurrency_limits.py",
        "tests/payments/test_concurrency_limits.py",
        (
            "places: one customer may hold all",
            "MAX_CUSTOMER_SHARE = 0.8",
            "MAX_CUSTOMER_SHARE = 1.0",
        ),
        (
            "places: a customer in trouble may hold as many as others",
            "MAX_UNANSWERED_CUSTOMER_SHARE = 0.1",
            "MAX_UNANSWERED_CUSTOMER_SHARE = 0.8",
        ),
        ("places: charges may hold all", "MAX_KIND_SHARE = 0.9", "MAX_KIND_SHARE = 1.0"),
        (
            "places: what is tried again may hold all",
            "MAX_RETRY_SHARE = 0.5",
            "MAX_RETRY_SHARE = 1.0",
        ),
        (
            "places: one more than the share is picked",
            "if in_use[group] >= self._limit(group)",
            "if in_use[group] > self._limit(group)",
        ),
        (
            "places: nobody looks for what was passed over",
            "self._skipped.update(full)",
            "pass",
        ),
        (
            "places: what is notified of and passed over is forgotten",
            "self._skipped |= full",
            "pass",
        ),
        (
            "places: what was picked just now is not counted",
            "                in_use.update(groups)\n",
            "",
        ),
        (
            "places: the second try counts as fresh",
            'again=row["tries"] > 0',
            'again=row["tries"] > 1',
        ),
        ("places: few places are divided until nothing is left", "math.ceil(", "math.floor("),
        (
            "places: a group is full only beyond its share",
            "self._in_use[group] >= self._limit(group)",
            "self._in_use[group] > self._limit(group)",
        ),
        (
            "places: an answer does not end the trouble of a customer",
            "self._unanswered.discard(customer)",
            "pass",
        ),
    ),
    *at(
        SETTLEMENT,
        PAYMENTS_TESTS,
        (
            "settlement: a refund without a charge is believed",
            "if self.lease.lacks_charge:",
            "if False:",
        ),
        (
            "settlement: another amount is believed",
            "(answer.amount, answer.currency) == (requested.amount, requested.currency)",
            "answer.currency == requested.currency",
        ),
        (
            "settlement: another currency is believed",
            "(answer.amount, answer.currency) == (requested.amount, requested.currency)",
            "answer.amount == requested.amount",
        ),
        (
            "settlement: the job of an ended payment stays",
            "await delete_jobs([result.lease.payment for result in results])",
            "pass",
        ),
        (
            "settlement: the stock of a failed order is not given back",
            "transition.releases_stock, transition.cancel_requested = True, False",
            "transition.cancel_requested = False",
        ),
        (
            "settlement: an answer counts twice",
            "if len(await final_update(rows)) < len(rows):",
            "if len(await final_update(rows)) < 0:",
        ),
        ("settlement: a parked answer takes back a success", " if one in open_states]", "]"),
        (
            "settlement: of several verdicts one that is late is passed over",
            "if len(results) > 1:",
            "if False:",
        ),
        (
            "settlement: the history does not tell of it",
            "await order_history.record_events(events, at=now)",
            "pass",
        ),
        (
            "settlement: the totals do not follow",
            "await _update_totals(transitions, lines)",
            "pass",
        ),
        (
            "settlement: the customer reads what the provider said",
            "isinstance(answer, Declined) and result.by is None",
            "False",
        ),
        (
            "settlement: what was moved is not kept",
            "Payment.moved: answer.moved",
            "Payment.moved: None",
        ),
        (
            "settlement: an amount that was not ours outlives a true answer",
            "result.lease.moved is not None",
            "False",
        ),
        (
            "settlement: the reason of a decline is not kept",
            "payments_by_code.setdefault(decline.code, [])",
            "payments_by_code.setdefault(None, [])",
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/payments/test_corrections.py",
        (
            "settlement: an answer ends the review of a refund that failed",
            " or await _await_review(results):",
            ":",
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/orders/http/test_actions.py tests/test_history.py",
        (
            "settlement: a canceled order keeps its money once it is paid",
            "if refund_is_due and balance is not None:",
            "if False:",
        ),
        (
            "settlement: a failed order stays to be canceled",
            "transition.releases_stock, transition.cancel_requested = True, False",
            "transition.releases_stock = True",
        ),
        (
            "settlement: a declined refund is asked for at once again",
            '        transition.cancel_requested = False\n        transition.enter("paid"',
            '        transition.enter("paid"',
        ),
        (
            "settlement: a refund counts what was given back before",
            'transition.refunded = balance.refunded - transition.order["refunded"]',
            "transition.refunded = balance.refunded",
        ),
        (
            "settlement: a refund returns the stock of an order that was delivered",
            "transition.releases_stock = transition.cancel_requested",
            "transition.releases_stock = True",
        ),
        (
            "settlement: the stock of a canceled order is not given back",
            "for one in transitions if one.releases_stock]",
            "for one in transitions if False]",
        ),
        (
            "settlement: the second refund replaces the first",
            "Order.refunded: Order.refunded + refunded",
            "Order.refunded: refunded",
        ),
        (
            "settlement: the lines do not get their parts of a refund",
            "await order_lines.save_shares(parts)",
            "pass",
        ),
        (
            "settlement: the parts of a second refund replace those of the first",
            "order_lines.share_refund(before, refunded)",
            "order_lines.share_refund(before, transition.refunded)",
        ),
        (
            "settlement: the totals leave out a refund of a part",
            "if transition.refunded or transition.status !=",
            "if transition.status !=",
        ),
        (
            "settlement: orders that change differently are changed alike",
            "change = (transition.status, transition.refunded, transition.cancel_requested)\n",
            "change = (transition.status, transition.refunded, "
            'transition.order["cancel_requested"])\n',
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/orders/http/test_actions.py",
        (
            "settlement: an order is not locked",
            "for row in await database.for_no_key_update(query)}",
            "for row in await query}",
        ),
        database="postgres",
    ),
]
