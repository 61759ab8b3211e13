"""Remedies: the actions on differences between our payments and the provider's list."""

import hashlib
import logging
from datetime import UTC, datetime
from typing import Literal

import msgspec
from msgspec import Struct

from icecream import database, errors
from icecream.feed import order_history
from icecream.feed.order_history import Details
from icecream.payments import corrections
from icecream.payments.leases import read_payment_as_lease
from icecream.payments.order_transitions import lock_orders
from icecream.payments.providers import (
    NO_ANSWER,
    Answer,
    Declined,
    OutcomeUnknown,
    PaymentProvider,
    ProviderRecord,
    Refund,
    RetryLater,
    Succeeded,
)
from icecream.payments.settlement import SettlementResult, settle
from icecream.runtime import instrumentation
from icecream.tables import Event

log = logging.getLogger(__name__)
# The prefix of the key of a refund that has no payment of ours. The rest of the key is derived from
# the charge's reference, so that repeated decisions make only one refund.
RECONCILED_KEY_PREFIX = "reconciled-"


class Finding(Struct, frozen=True):
    """A difference, and the action for it.

    `adopt`: the provider knows how a payment of ours ended, or that a refund failed afterwards.
    `refund`: the provider took money for no payment of ours, or for a payment that did not succeed.
    `book`: a charge of ours, `payment`, was refunded at the provider without us. `look`: staff have
    to decide. `order` is the order of the payment, which is found by its key.
    """

    action: Literal["adopt", "refund", "book", "look"]
    reason: str
    order: int | None
    payment: int | None
    record: ProviderRecord | None = None

    def __str__(self) -> str:
        both = [f"payment {self.payment}"] if self.payment else []
        both += [f"{self.record.kind} {self.record.reference}"] if self.record else []
        return f"{self.action}: {' and '.join(both)}: {self.reason}"


class RemedyResult(Struct, frozen=True):
    """The result of a remedy: a text to print after the finding, and whether the remedy is done."""

    text: str
    is_done: bool


NOT_DONE = RemedyResult("", False)


async def apply_remedy(provider: PaymentProvider, finding: Finding) -> RemedyResult:
    """Apply the remedy for a finding; return a failure as its result, so that the others continue.

    Raises:
        database.DATABASE_UNAVAILABLE: the database is unavailable, so no remedy can be applied.
    """
    try:
        return await _apply_remedy(provider, finding)
    except database.DATABASE_UNAVAILABLE:
        raise
    except (errors.RefundInProgress, errors.RefundTooLarge) as refusal:
        return RemedyResult(f" - not possible now: {refusal}", False)
    except Exception as error:
        # Continue with the next finding: this error says nothing about it.
        log.exception("The remedy failed for: %s", finding)
        instrumentation.count_failure("finding")
        return RemedyResult(f" - failed: {error!r}", False)


async def _apply_remedy(provider: PaymentProvider, finding: Finding) -> RemedyResult:
    if finding.action == "adopt":
        await _adopt_outcome(finding)
        return RemedyResult(" - adopted", True)
    if finding.action == "refund":
        return await _refund_charge(provider, finding)
    if finding.action == "book":
        assert finding.record is not None
        assert finding.payment is not None
        await corrections.book_provider_refund(finding.payment, finding.record)
        return RemedyResult(" - booked", True)
    return NOT_DONE


async def _adopt_outcome(finding: Finding) -> None:
    """Accept the list's state of a payment with unknown outcome, like an answer to our call."""
    record = finding.record
    assert record is not None
    assert finding.payment is not None
    answer: Answer = (
        Succeeded(record.reference, record.amount, record.currency)
        if record.state == "succeeded"
        else Declined("It is declined in the provider's list.")
    )
    if lease := await read_payment_as_lease(finding.payment):
        await settle([SettlementResult(lease, answer)])
    elif isinstance(answer, Declined) and record.kind == "refund":
        await corrections.park_failed_refund(finding.payment, answer.reason)


async def _refund_charge(provider: PaymentProvider, finding: Finding) -> RemedyResult:
    """Refund all of a charge that belongs to no order; repeated calls make one refund.

    The refund is added to the history of the payment's order. A charge under an unknown key has no
    order here, even if its record names a number: that may be another customer's order by now.
    """
    assert finding.record is not None
    request = _refund_request(finding.record)
    try:
        answer = await provider.refund(request)
    except (RetryLater, *NO_ANSWER) as error:
        return RemedyResult(f" - the refund has no definite answer, try again: {error!r}", False)
    if isinstance(answer, Declined):
        return RemedyResult(f" - the refund was declined: {answer.reason}", False)
    if finding.order is not None:
        await _record_refund(finding.order, request)
    return RemedyResult(" - refunded", True)


async def _record_refund(order: int, refund: Refund) -> None:
    """Add the refund to the order's history once, even if two operators decide at the same time."""
    details: Details = {"charge": refund.charge, "amount": refund.amount, "key": refund.key}

    async def work() -> None:
        await lock_orders([order])
        events = await Event.select(Event.payload).where(
            Event.order == order, Event.type == "reconciled"
        )
        if any(msgspec.json.decode(row["payload"])["key"] == refund.key for row in events):
            return
        event = order_history.OrderEvent(order, "reconciled", details)
        await order_history.record_events([event], at=datetime.now(UTC))

    await database.transaction(work)


async def was_refunded(provider: PaymentProvider, finding: Finding) -> bool:
    """Return whether an operator already made this refund; a refund in progress counts.

    Raises:
        providers.NO_ANSWER, providers.RetryLater: the provider gives no definite answer.
    """
    assert finding.record is not None
    try:
        known = await provider.look_up(_refund_request(finding.record), None)
    except OutcomeUnknown as error:
        if error.reference is None:
            raise
        return True
    return isinstance(known, Succeeded)


def _refund_request(record: ProviderRecord) -> Refund:
    key = RECONCILED_KEY_PREFIX + hashlib.sha256(record.reference.encode()).hexdigest()[:32]
    return Refund(key, record.amount, record.currency, record.order or 0, record.reference)
