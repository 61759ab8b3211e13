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
            "over = database.seconds_from_now(lease)",
            "over = database.seconds_from_now(0)",
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
            "await Job.delete().where(ours, Job.subject.is_in(sorted(ended)))",
            "pass",
        ),
        (
            "claims: an older try postpones a newer one",
            "            Payment.tries == claim.tries,\n",
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
            "min(longest or MAX_RETRY_DELAY_SECONDS, grown)",
            "grown",
        ),
        (
            "claims: the longest pause is two minutes",
            "MAX_RETRY_DELAY_SECONDS = 5.0, 12.0",
            "MAX_RETRY_DELAY_SECONDS = 5.0, 120.0",
        ),
        (
            "claims: the provider's reference is forgotten",
            "reference or claim.reference",
            "reference",
        ),
        (
            "claims: an error of ours is not counted",
            "claim.faults + fault or None",
            "claim.faults or None",
        ),
        (
            "claims: what is tried again takes the places of what is fresh",
            "asked.append(Job.tries == 0)",
            "pass",
        ),
        ("claims: customers without room are asked for", "if self.without:", "if False:"),
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
            "pick(await database.unlocked(_select_due_jobs(ids, among).limit(limit)))",
            "pick(await _select_due_jobs(ids, among).limit(limit))",
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
            "if now - claim.sent_at > life:",
            "if False:",
        ),
        (
            "desk: an old payment that was never sent is not looked up",
            "old = now - claim.known_since > life",
            "old = now - claim.sent_at > life",
        ),
        (
            "desk: a known reference is not looked up",
            "if claim.reference or old",
            "if old",
        ),
        ("desk: a refund without a charge is sent", "if claim.lacks_charge:", "if False:"),
        (
            "desk: what was claimed is left when a later claim fails",
            "await self._claim(ids, room, claims)",
            "await self._claim(ids, room, more := [])\n                claims = more",
        ),
        ("desk: what was found is not believed", "if known is not None:", "if False:"),
        (
            "desk: six errors of ours park a payment",
            "claim.faults + 1 < MAX_INTERNAL_ERRORS",
            "claim.faults < MAX_INTERNAL_ERRORS",
        ),
        ("desk: an error of ours is no fault", "longest=longest, fault=True", "longest=longest"),
        (
            "desk: what moved is forgotten when the answer cannot be written",
            "await self._fail(verdict.claim, error, began, verdict.believed)",
            "await self._fail(verdict.claim, error, began)",
        ),
        (
            "desk: an answer that cannot be written is asked for again for ever",
            "await self._fail(verdict.claim, error, began, verdict.believed)",
            "raise",
        ),
        (
            "desk: a call without an answer counts as answered",
            "answered=isinstance(error, OutcomeUndecided))",
            "answered=True)",
        ),
        (
            "desk: an undecided answer counts as none",
            "answered=isinstance(error, OutcomeUndecided))",
            "answered=False)",
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
            "in (sorted(breaker.failed), ()):",
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
            "self._shares.give_back(claim)",
            "pass",
        ),
        ("desk: a place has no share", "self._shares.take(one)", "pass"),
        (
            "desk: nobody looks for what was due while the provider was away",
            "self._shares.pass_over(claim.kind)",
            "pass",
        ),
        (
            "desk: what one look had no room for is forgotten",
            "        if started:\n            # There may be more than there was room for.",
            "        if False:\n            # There may be more than there was room for.",
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
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 10, 3",
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 11, 3",
        ),
        (
            "breaker: it opens after 9 failures",
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 10, 3",
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 9, 3",
        ),
        (
            "breaker: two customers open it",
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 10, 3",
            "FAILURES_TO_OPEN, CUSTOMERS_TO_OPEN = 10, 2",
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
            "(self._trying or not was_open)",
            "True",
        ),
        (
            "breaker: a trial does not end the pause",
            "self._trying, self._until = True, monotonic() + MAX_PAUSE_SECONDS",
            "self._trying = True",
        ),
        (
            "breaker: the pause begins with a minute",
            "MAX_PAUSE_SECONDS = 2.0, 10.0",
            "MAX_PAUSE_SECONDS = 60.0, 60.0",
        ),
    ),
    *at(
        "icecream/payments/concurrency_limits.py",
        "tests/payments/test_concurrency_limits.py",
        ("places: one customer may hold all", "= 0.8, 0.1, 0.9, 0.5", "= 1.0, 0.1, 0.9, 0.5"),
        (
            "places: a customer in trouble may hold as many as others",
            "= 0.8, 0.1, 0.9, 0.5",
            "= 0.8, 0.8, 0.9, 0.5",
        ),
        ("places: charges may hold all", "= 0.8, 0.1, 0.9, 0.5", "= 0.8, 0.1, 1.0, 0.5"),
        (
            "places: what is tried again may hold all",
            "= 0.8, 0.1, 0.9, 0.5",
            "= 0.8, 0.1, 0.9, 1.0",
        ),
        (
            "places: one more than the share is picked",
            "if held[group] >= self._most(group)",
            "if held[group] > self._most(group)",
        ),
        (
            "places: nobody looks for what was passed over",
            "self._passed_over.update(full)",
            "pass",
        ),
        (
            "places: what is notified of and passed over is forgotten",
            "self._passed_over |= full",
            "pass",
        ),
        (
            "places: what was picked just now is not counted",
            "                held.update(groups)\n",
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
            "self._held[group] >= self._most(group)",
            "self._held[group] > self._most(group)",
        ),
        (
            "places: an answer does not end the trouble of a customer",
            "self._troubled.discard(customer)",
            "pass",
        ),
    ),
    *at(
        SETTLEMENT,
        PAYMENTS_TESTS,
        (
            "settlement: a refund without a charge is believed",
            "if self.claim.lacks_charge:",
            "if False:",
        ),
        (
            "settlement: another amount is believed",
            "(answer.amount, answer.currency) == (asked.amount, asked.currency)",
            "answer.currency == asked.currency",
        ),
        (
            "settlement: another currency is believed",
            "(answer.amount, answer.currency) == (asked.amount, asked.currency)",
            "answer.amount == asked.amount",
        ),
        (
            "settlement: the job of an ended payment stays",
            "await delete_jobs([one.claim.payment for one in verdicts])",
            "pass",
        ),
        (
            "settlement: the stock of a failed order is not given back",
            "new.back, new.cancel_requested = True, False",
            "new.cancel_requested = False",
        ),
        (
            "settlement: an answer counts twice",
            "if len(await entering(rows)) < len(rows):",
            "if len(await entering(rows)) < 0:",
        ),
        ("settlement: a parked answer takes back a success", " if one in unfinished]", "]"),
        (
            "settlement: of several verdicts one that is late is passed over",
            "if len(verdicts) > 1:",
            "if False:",
        ),
        (
            "settlement: the history does not tell of it",
            "await order_history.record([line for one in turns for line in one.happened], at=now)",
            "pass",
        ),
        ("settlement: the totals do not follow", "await _update_totals(turns, lines)", "pass"),
        (
            "settlement: the customer reads what the provider said",
            "isinstance(answer, Declined) and verdict.by is None",
            "False",
        ),
        (
            "settlement: what was moved is not kept",
            "Payment.moved: said.moved",
            "Payment.moved: None",
        ),
        (
            "settlement: an amount that was not ours outlives a true answer",
            "one.claim.moved is not None",
            "False",
        ),
        (
            "settlement: the reason of a decline is not kept",
            "payments.setdefault(said.code, [])",
            "payments.setdefault(None, [])",
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/payments/test_corrections.py",
        (
            "settlement: an answer ends the review of a refund that failed",
            " or await _await_review(verdicts):",
            ":",
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/orders/http/test_actions.py tests/test_history.py",
        (
            "settlement: a canceled order keeps its money once it is paid",
            "if asked and balance is not None:",
            "if False:",
        ),
        (
            "settlement: a failed order stays to be canceled",
            "new.back, new.cancel_requested = True, False",
            "new.back = True",
        ),
        (
            "settlement: a declined refund is asked for at once again",
            '        new.cancel_requested = False\n        new.enter("paid"',
            '        new.enter("paid"',
        ),
        (
            "settlement: a refund counts what was given back before",
            'new.refunded = balance.refunded - new.order["refunded"]',
            "new.refunded = balance.refunded",
        ),
        (
            "settlement: a refund returns the stock of an order that was delivered",
            "new.back = new.cancel_requested",
            "new.back = True",
        ),
        (
            "settlement: the stock of a canceled order is not given back",
            "[line for one in turns if one.back",
            "[line for one in turns if False",
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
            'order_lines.share_refund(before, one.order["refunded"] + one.refunded)',
            "order_lines.share_refund(before, one.refunded)",
        ),
        (
            "settlement: the totals leave out a refund of a part",
            "if one.refunded or one.status !=",
            "if one.status !=",
        ),
        (
            "settlement: orders that change differently are changed alike",
            "change = (one.status, one.refunded, one.cancel_requested)\n",
            'change = (one.status, one.refunded, one.order["cancel_requested"])\n',
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/orders/http/test_actions.py",
        (
            "settlement: an order is not locked",
            "for row in await database.locked(query)}",
            "for row in await query}",
        ),
        database="postgres",
    ),
]
