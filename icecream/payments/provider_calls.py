"""The call to the provider for one payment; its outcome is settled, retried later, or parked."""

import asyncio
import logging
import time
import traceback
from datetime import UTC, datetime

from icecream import database, errors
from icecream.database import batching
from icecream.payments.leases import (
    MAX_RETRY_DELAY_AFTER_ERROR_SECONDS,
    Lease,
    postpone_payment,
)
from icecream.payments.providers import (
    NO_ANSWER,
    Answer,
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    PaymentProvider,
    RequestRefused,
    RetryLater,
    Succeeded,
)
from icecream.payments.settlement import MISSING_CHARGE, Parked, SettlementResult, settle
from icecream.runtime import instrumentation
from icecream.runtime.failpoints import reach_failpoint

log = logging.getLogger(__name__)
# The maximum number of payments settled in one transaction.
MAX_SETTLEMENTS_PER_BATCH = 100
RESULT_NAMES: dict[type, str] = {Succeeded: "succeeded", Declined: "declined", Parked: "parked"}
# From this try on, the payment is looked up before it is sent. Usually, the two tries before it got
# no definite answer.
FIRST_TRY_WITH_LOOKUP = 3
# A payment is parked after this many tries that ended in an internal error.
MAX_INTERNAL_ERRORS = 5
NOT_FOUND = "The payment was not found at the provider; retrying could move the money twice."
# The result of a call: an answer, a payment to park, or the error of the call.
Outcome = Answer | Parked | Exception


async def call_provider(provider: PaymentProvider, lease: Lease, timeout_seconds: float) -> Outcome:
    """Look the payment up or send it, as its lease requires; return any error as the outcome."""
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _look_up_or_send(provider, lease)
    except Exception as error:
        return error


async def _look_up_or_send(provider: PaymentProvider, lease: Lease) -> Answer | Parked:
    request = lease.request
    if lease.lacks_charge:
        return Parked(MISSING_CHARGE)
    now, life = datetime.now(UTC), provider.key_life
    # The provider may have carried it out and forgotten the key. After a restore we may have
    # forgotten it too.
    old = now - lease.known_since > life
    if lease.reference or old or lease.tries >= FIRST_TRY_WITH_LOOKUP:
        known = await provider.look_up(request, lease.reference)
        if known is not None:
            return known
    if now - lease.sent_at > life:
        return Parked(NOT_FOUND)
    reach_failpoint("payments.before_call")
    if isinstance(request, Charge):
        return await provider.charge(request)
    return await provider.refund(request)


def was_answered(outcome: Outcome) -> bool | None:
    """Return whether the provider answered; None if an internal error hides that."""
    if isinstance(outcome, NO_ANSWER):
        return isinstance(outcome, OutcomeUndecided)
    return True if isinstance(outcome, Answer | Parked | RetryLater) else None


class OutcomeWriter:
    """Writes the outcomes of calls; answers that arrive together are settled together."""

    def __init__(self, *, max_unsettled: int) -> None:
        self._settling = batching.BatchQueue(
            settle,
            name="settlements",
            max_weight=MAX_SETTLEMENTS_PER_BATCH,
            max_waiting=max_unsettled,
        )
        # The internal errors whose traceback was already logged.
        self._logged_errors: set[str] = set()

    async def close(self) -> None:
        """Settle the answers that wait, and accept no more."""
        await self._settling.close()

    async def write(self, lease: Lease, outcome: Outcome, started_at: float) -> None:
        """Settle an answer, or schedule a retry; park a payment after many internal errors.

        `started_at` is the time when the call started, from `time.perf_counter`.
        """
        if isinstance(outcome, RetryLater):
            await _postpone(lease, outcome, started_at)
        elif isinstance(outcome, NO_ANSWER):
            _count(lease, "unknown", started_at)
            log.warning("Payment %s has no definite answer: %r", lease.payment, outcome)
            reference = outcome.reference if isinstance(outcome, OutcomeUnknown) else None
            await postpone_payment(lease, repr(outcome), reference=reference)
        elif isinstance(outcome, Exception):
            # Any other error of an adapter is a bug. The payment must end, and the bug must be
            # visible.
            await self._fail(lease, outcome, started_at)
        else:
            await self._settle(SettlementResult(lease, outcome), started_at)

    async def _settle(self, result: SettlementResult, started_at: float) -> None:
        _count(result.lease, RESULT_NAMES[type(result.verified)], started_at)
        reach_failpoint("payments.answered")
        try:
            await self._settling.submit(result)
        except (errors.Unavailable, database.DatabaseUnavailable):
            raise
        except Exception as error:
            # The answer cannot be written, which is a bug too.
            await self._fail(result.lease, error, started_at, result.verified)
        else:
            reach_failpoint("payments.settled")

    async def _fail(
        self,
        lease: Lease,
        error: Exception,
        started_at: float,
        answer: Answer | Parked | None = None,
    ) -> None:
        """Handle an internal error: retry the payment a few times, then park it for review."""
        _count(lease, "error", started_at)
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{type(error).__name__} at {where.filename}:{where.lineno}"
        known = place in self._logged_errors
        self._logged_errors.add(place)
        log.error("Payment %s: %r", lease.payment, error, exc_info=None if known else error)
        parked = _park_after_error(
            f"Internal error in {MAX_INTERNAL_ERRORS} tries: {type(error).__name__}.", answer
        )
        if lease.faults + 1 < MAX_INTERNAL_ERRORS:
            await postpone_payment(
                lease,
                repr(error),
                reference=parked.reference,
                max_seconds=MAX_RETRY_DELAY_AFTER_ERROR_SECONDS,
                is_internal_error=True,
            )
        else:
            await self._settling.submit(SettlementResult(lease, parked))


async def _postpone(lease: Lease, error: RetryLater, started_at: float) -> None:
    refused = isinstance(error, RequestRefused)
    _count(lease, "refused" if refused else "later", started_at)
    if refused:
        log.warning("The provider refused payment %s: %s", lease.payment, error)
    max_seconds = MAX_RETRY_DELAY_AFTER_ERROR_SECONDS if refused else None
    await postpone_payment(lease, str(error), state="sent", max_seconds=max_seconds)


def _park_after_error(reason: str, answer: Answer | Parked | None) -> Parked:
    """Park for manual review, with the provider's answer if there is one."""
    if isinstance(answer, Succeeded):
        return Parked(reason, answer.reference, answer.amount)
    if isinstance(answer, Parked):
        return Parked(reason, answer.reference, answer.moved)
    return Parked(reason)


def _count(lease: Lease, result: str, started_at: float) -> None:
    instrumentation.count_attempt(lease.kind, result, time.perf_counter() - started_at)
