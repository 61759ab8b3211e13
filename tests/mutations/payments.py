"""Mutations of carrying out payments, from their leases to the changes of their orders."""

from tests.mutations import at

LEASES = "icecream/payments/leases.py"
EXECUTOR = "icecream/payments/executor.py"
PROVIDER_CALLS = "icecream/payments/provider_calls.py"
SETTLEMENT = "icecream/payments/settlement.py"
ORDER_TRANSITIONS = "icecream/payments/order_transitions.py"
BREAKER_TESTS = "tests/payments/test_circuit_breaker.py"
PAYMENTS_TESTS = (
    "tests/payments/test_executor.py tests/payments/test_leases.py "
    f"tests/payments/test_provider_calls.py tests/payments/test_settlement.py {BREAKER_TESTS}"
)

MUTATIONS = [
    *at(
        "icecream/payments/providers/protocol.py",
        PAYMENTS_TESTS,
        (
            "provider: every error of the operating system counts as no answer",
            "ConnectionError, TimeoutError, socket.gaierror)",
            "OSError)",
        ),
        ("provider: an unknown host counts as an internal error", ", socket.gaierror)", ")"),
    ),
    *at(
        LEASES,
        PAYMENTS_TESTS,
        (
            "leases: a job that is not due is leased",
            "Job.run_at <= database.seconds_from_now(0),",
            "Job.run_at <= database.seconds_from_now(3600),",
        ),
        (
            "leases: a lease expires at once",
            "milliseconds = round(1000 * lease_seconds)",
            "milliseconds = 0",
        ),
        (
            "leases: a job does not count its tries",
            'Job.tries: "tries + 1"',
            'Job.tries: "tries"',
        ),
        (
            "leases: a payment does not count its tries",
            'Payment.tries: "tries + 1"',
            'Payment.tries: "tries"',
        ),
        (
            "leases: a payment that has ended is sent again",
            "(state IN {_SENDABLE}) IS TRUE{_IS_LEASED",
            "true{_IS_LEASED",
        ),
        (
            "leases: the time of the first call is overwritten",
            "COALESCE(first_sent_at, {sent_at})",
            "{sent_at}",
        ),
        (
            "leases: the job of an ended payment stays",
            "await _DELETE_USELESS_JOBS([(payment,) for payment in sorted(others)])",
            "pass",
        ),
        (
            "leases: an older try postpones a newer one",
            "            Payment.tries == lease.tries,\n",
            "",
        ),
        (
            "leases: a payment that has ended is postponed",
            '            Payment.state == "sent",\n            Payment.tries',
            "            Payment.tries",
        ),
        (
            "leases: a postponed payment is due at once",
            "later = database.seconds_from_now(seconds)",
            "later = database.seconds_from_now(0)",
        ),
        ("leases: the first delay is doubled", "min(tries - 1, 20)", "min(tries, 20)"),
        (
            "leases: delays grow without limit",
            "min(max_seconds or MAX_RETRY_DELAY_SECONDS, delay)",
            "delay",
        ),
        (
            "leases: the longest delay is two minutes",
            "MAX_RETRY_DELAY_SECONDS = 12.0",
            "MAX_RETRY_DELAY_SECONDS = 120.0",
        ),
        (
            "leases: the provider's reference is forgotten",
            "reference or lease.reference",
            "reference",
        ),
        (
            "leases: an internal error is not counted",
            "lease.faults + is_internal_error or None",
            "lease.faults or None",
        ),
        (
            "leases: retries use the slots of new payments",
            "conditions.append(Job.tries == 0)",
            "pass",
        ),
        (
            "leases: customers at their limit are not excluded",
            "if self.excluded_customers:",
            "if False:",
        ),
        (
            "leases: a job without a customer is never leased",
            "Or(Job.customer.is_null(), others)",
            "others",
        ),
    ),
    *at(
        LEASES,
        PAYMENTS_TESTS,
        (
            "leases: two workers lease one payment",
            "where=_IS_DUE,",
            "",
        ),
        (
            "leases: a payment is sent although another worker has leased its job",
            "{_IS_LEASED if _IS_POSTGRES else ''}",
            "",
        ),
        (
            "leases: the job that another worker has leased is deleted",
            "WHERE payment.id = job.subject AND (state IN {_SENDABLE}) IS TRUE",
            "WHERE false",
        ),
        database="postgres",
    ),
    *at(
        EXECUTOR,
        PAYMENTS_TESTS,
        (
            "executor: leased payments are not started when a later query fails",
            "await self._acquire(ids, room, acquired)",
            "await self._acquire(ids, room, more := [])\n                acquired = more",
        ),
        (
            "executor: a trial uses a customer without answers",
            "in (sorted(breaker.failed_customers), ()):",
            "in ((), ()):",
        ),
        (
            "executor: the provider is called although the breaker is open",
            " if not self._breakers[kind].is_open]",
            "]",
        ),
        (
            "executor: a slot is never released",
            "self._limits.release(lease)",
            "pass",
        ),
        (
            "executor: a lease does not wait for slots that are about to be free",
            "MAX_TURNS_FOR_SLOTS = 2",
            "MAX_TURNS_FOR_SLOTS = 0",
        ),
        ("executor: a slot is not counted", "self._limits.acquire(one)", "pass"),
        (
            "executor: payments that became due during an outage are not searched for",
            "self._limits.mark_skipped(lease.kind)",
            "pass",
        ),
        (
            "executor: payments that a sweep had no slots for are forgotten",
            "        if started:\n            # There may be more payments than slots.",
            "        if False:\n            # There may be more payments than slots.",
        ),
        (
            "executor: it leases payments while it closes",
            "if room and ids != [] and not self._closing:",
            "if room and ids != []:",
        ),
    ),
    *at(
        PROVIDER_CALLS,
        PAYMENTS_TESTS,
        (
            "provider calls: it is looked up before the fourth call",
            "FIRST_TRY_WITH_LOOKUP = 3",
            "FIRST_TRY_WITH_LOOKUP = 4",
        ),
        (
            "provider calls: it is looked up before the second call",
            "FIRST_TRY_WITH_LOOKUP = 3",
            "FIRST_TRY_WITH_LOOKUP = 2",
        ),
        (
            "provider calls: a payment is sent when the provider forgot the key",
            "if now - lease.sent_at > life:",
            "if False:",
        ),
        (
            "provider calls: an old payment that was never sent is not looked up",
            "old = now - lease.known_since > life",
            "old = now - lease.sent_at > life",
        ),
        (
            "provider calls: a known reference is not looked up",
            "if lease.reference or old",
            "if old",
        ),
        (
            "provider calls: a refund without a charge is sent",
            "if lease.lacks_charge:",
            "if False:",
        ),
        (
            "provider calls: the result of a look-up is ignored",
            "if known is not None:",
            "if False:",
        ),
        (
            "provider calls: a payment is parked only after six internal errors",
            "lease.faults + 1 < MAX_INTERNAL_ERRORS",
            "lease.faults < MAX_INTERNAL_ERRORS",
        ),
        (
            "provider calls: an internal error is not counted",
            "is_internal_error=True",
            "is_internal_error=False",
        ),
        (
            "provider calls: the moved amount is lost when the answer cannot be written",
            "await self._fail(result.lease, error, started_at, result.verified)",
            "await self._fail(result.lease, error, started_at)",
        ),
        (
            "provider calls: an answer that cannot be written is requested again for ever",
            "await self._fail(result.lease, error, started_at, result.verified)",
            "raise",
        ),
        (
            "provider calls: a call without an answer counts as answered",
            "return isinstance(outcome, OutcomeUndecided)\n",
            "return True\n",
        ),
        (
            "provider calls: an undecided answer counts as no answer",
            "return isinstance(outcome, OutcomeUndecided)\n",
            "return False\n",
        ),
        (
            "provider calls: a call that did nothing makes the payment unknown",
            'str(error), state="sent"',
            "str(error)",
        ),
        (
            "provider calls: a refusal pauses for as long as any other try",
            "MAX_RETRY_DELAY_AFTER_ERROR_SECONDS if refused else None",
            "None",
        ),
        (
            "provider calls: the reference of an open payment is not kept",
            "repr(outcome), reference=reference)",
            "repr(outcome))",
        ),
        (
            "provider calls: a refund is sent as a charge",
            "if isinstance(request, Charge):",
            "if True:",
        ),
        (
            "provider calls: a call has no timeout",
            "asyncio.timeout(timeout_seconds)",
            "asyncio.timeout(None)",
        ),
    ),
    *at(
        "icecream/payments/circuit_breaker.py",
        BREAKER_TESTS,
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
            "limits: one customer may use all slots",
            "MAX_CUSTOMER_SHARE = 0.8",
            "MAX_CUSTOMER_SHARE = 1.0",
        ),
        (
            "limits: a customer without answers may use as many slots as others",
            "MAX_UNANSWERED_CUSTOMER_SHARE = 0.1",
            "MAX_UNANSWERED_CUSTOMER_SHARE = 0.8",
        ),
        ("limits: charges may use all slots", "MAX_KIND_SHARE = 0.9", "MAX_KIND_SHARE = 1.0"),
        (
            "limits: retries may use all slots",
            "MAX_RETRY_SHARE = 0.5",
            "MAX_RETRY_SHARE = 1.0",
        ),
        (
            "limits: one payment more than the limit is selected",
            "if in_use[group] >= self._limit(group)",
            "if in_use[group] > self._limit(group)",
        ),
        (
            "limits: skipped payments are not searched for",
            "self._skipped.update(full)",
            "pass",
        ),
        (
            "limits: skipped payments of a notification are forgotten",
            "self._skipped |= full",
            "pass",
        ),
        (
            "limits: selected payments are not counted",
            "                in_use.update(groups)\n",
            "",
        ),
        (
            "limits: the second try counts as new",
            "again=job.tries > 0",
            "again=job.tries > 1",
        ),
        ("limits: with few slots, a limit is zero", "math.ceil(", "math.floor("),
        (
            "limits: a group is full only beyond its limit",
            "self._in_use[group] >= self._limit(group)",
            "self._in_use[group] > self._limit(group)",
        ),
        (
            "limits: an answer does not restore the limit of a customer",
            "self._unanswered.discard(customer)",
            "pass",
        ),
    ),
    *at(
        SETTLEMENT,
        PAYMENTS_TESTS,
        (
            "settlement: a refund without a charge is accepted",
            "if self.lease.lacks_charge:",
            "if False:",
        ),
        (
            "settlement: another amount is accepted",
            "(answer.amount, answer.currency) == (requested.amount, requested.currency)",
            "answer.currency == requested.currency",
        ),
        (
            "settlement: another currency is accepted",
            "(answer.amount, answer.currency) == (requested.amount, requested.currency)",
            "answer.amount == requested.amount",
        ),
        (
            "settlement: the job of an ended payment stays",
            "attempts.job_deletion([result.lease.payment for result, _ in verified])",
            "attempts.job_deletion([])",
        ),
        (
            "settlement: the stock of a failed order is not released",
            "transition.releases_stock, transition.cancel_requested = True, False",
            "transition.cancel_requested = False",
        ),
        (
            "settlement: an answer counts twice",
            "if not all(_is_open(*one, current[one[0].lease.payment]) for one in verified):",
            "if False:",
        ),
        (
            "settlement: a parked answer replaces a success",
            ".intersection(_OPEN_STATES)\n",
            "\n",
        ),
        (
            "settlement: a late result among several is ignored",
            "if len(results) > 1:",
            "if False:",
        ),
        (
            "settlement: the customer can read the provider's text",
            "isinstance(answer, Declined) and result.by is None",
            "False",
        ),
        (
            "settlement: the moved amount is not stored",
            "moved = None if keeps_moved else answer.moved",
            "moved = None",
        ),
        (
            "settlement: a wrong moved amount stays after a correct answer",
            "None, None, None, result.by is not None",
            "None, None, None, True",
        ),
        (
            "settlement: the reason of a decline is not stored",
            "answer.reason, answer.code, None, True",
            "answer.reason, None, None, True",
        ),
    ),
    *at(
        SETTLEMENT,
        "tests/payments/test_corrections.py",
        (
            "settlement: an answer ends the review of a refund that failed",
            "    is_reversed = corrections.",
            "    is_reversed = False and corrections.",
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
            "settlement: a failed order keeps its request to cancel",
            "transition.releases_stock, transition.cancel_requested = True, False",
            "transition.releases_stock = True",
        ),
        (
            "settlement: a declined refund is requested again at once",
            '        transition.cancel_requested = False\n        transition.enter("paid"',
            '        transition.enter("paid"',
        ),
    ),
    *at(
        ORDER_TRANSITIONS,
        PAYMENTS_TESTS,
        (
            "order transitions: the history is not written",
            "*order_history.event_inserts(events, ",
            "*order_history.event_inserts([], ",
        ),
        (
            "order transitions: the totals are not updated",
            "        *_total_updates(transitions, data.lines),\n",
            "",
        ),
    ),
    *at(
        ORDER_TRANSITIONS,
        "tests/orders/http/test_actions.py tests/test_history.py",
        (
            "order transitions: a refund counts earlier refunds again",
            "transition.refunded = balance.refunded - transition.order.refunded",
            "transition.refunded = balance.refunded",
        ),
        (
            "order transitions: a refund returns the stock of an order that was delivered",
            "transition.releases_stock = transition.cancel_requested",
            "transition.releases_stock = True",
        ),
        (
            "order transitions: the stock of a canceled order is not released",
            "for one in transitions if one.releases_stock]",
            "for one in transitions if False]",
        ),
        (
            "order transitions: the second refund replaces the first",
            '"refunded + {further_refund}"',
            '"{further_refund}"',
        ),
        (
            "order transitions: the lines do not get their shares of a refund",
            "[order_lines.update_shares(parts), ",
            "[",
        ),
        (
            "order transitions: the shares of a second refund replace those of the first",
            "order_lines.share_refund(before, refunded)",
            "order_lines.share_refund(before, transition.refunded)",
        ),
        (
            "order transitions: the totals leave out a partial refund",
            "if transition.refunded or transition.status !=",
            "if transition.status !=",
        ),
        (
            "order transitions: the request of a cancellation is not stored",
            "transition.refunded, transition.cancel_requested)",
            "transition.refunded, transition.order.cancel_requested)",
        ),
    ),
    *at(
        ORDER_TRANSITIONS,
        "tests/orders/http/test_actions.py",
        (
            "order transitions: an order is not locked",
            "to_orders(await _LOCK_ORDERS(",
            "to_orders(await _SELECT_ORDERS(",
        ),
        database="postgres",
    ),
]
