"""Stripe's objects, and what they mean for our payments."""

from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import stripe
from msgspec import Struct

from icecream import stripe_units
from icecream.payments.providers import stripe_errors
from icecream.payments.providers.protocol import (
    Answer,
    Declined,
    OutcomeUndecided,
    ProviderRecord,
    Request,
    Succeeded,
    WebhookEvent,
)

# Stripe's records can contain any text, so a longer number is not one of ours.
MAX_ORDER_DIGITS = 19


class PaymentObject(Struct):
    """The fields that we read of a PaymentIntent or a Refund."""

    id: str
    object: str
    status: str
    amount: int
    currency: str
    created: int
    # Only in a PaymentIntent; the amount received may differ from the requested one.
    amount_received: int | None = None
    last_payment_error: dict[str, Any] | None = None
    # Only in a Refund.
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def key(self) -> str | None:
        """Our idempotency key, if the object has one."""
        return (self.metadata or {}).get("reference")

    @property
    def requested(self) -> int:
        """The requested amount, in minor units."""
        return stripe_units.from_stripe(self.amount, self.currency.upper())

    @property
    def moved(self) -> int:
        """The moved amount; Stripe includes it in every PaymentIntent that succeeded."""
        moved = self.amount if self.amount_received is None else self.amount_received
        return stripe_units.from_stripe(moved, self.currency.upper())


class EventObject(Struct):
    """The fields that we read of an event's object."""

    object: str
    id: str = ""
    metadata: dict[str, str] | None = None


class EventData(Struct):
    object: EventObject


class StripeEvent(Struct):
    id: str
    data: EventData


def to_metadata(request: Request) -> dict[str, str]:
    """Return the fields by which an object is recognized as ours."""
    return {"reference": request.key, "order": str(request.order)}


def to_payment_object(raw: stripe.StripeObject) -> PaymentObject:
    """Return the fields that we read of an object.

    Raises:
        msgspec.ValidationError: the object is unreadable.
    """
    return msgspec.convert(raw.to_dict(), PaymentObject)


def to_webhook_event(body: bytes) -> WebhookEvent | None:
    """Return the event in the body of a verified webhook, if it is about a payment of ours."""
    try:
        event = msgspec.json.decode(body, type=StripeEvent)
    except (msgspec.DecodeError, RecursionError):
        # Signed, but in another form, such as a "thin" event: it is not about a payment. If we
        # refused it, Stripe would send it again for days.
        return None
    changed = event.data.object
    key = (changed.metadata or {}).get("reference")
    if key is None or changed.object not in ("payment_intent", "refund"):
        return None
    return WebhookEvent(event.id, key, changed.id)


def to_answer(payment: PaymentObject) -> Answer:
    """Return the outcome of a PaymentIntent or a Refund.

    Raises:
        OutcomeUndecided: it is not decided yet.
    """
    if payment.status == "succeeded":
        return Succeeded(payment.id, payment.moved, payment.currency.upper())
    if _is_final_decline(payment):
        error = payment.last_payment_error or {}
        code, decline_code = error.get("code"), error.get("decline_code")
        texts = (payment.status, payment.failure_reason, code, decline_code)
        code_for_action = "authentication_required" if payment.status == "requires_action" else None
        reason_code = stripe_errors.decline_code(decline_code, code, code_for_action)
        return Declined(": ".join(filter(None, texts)), reason_code)
    raise OutcomeUndecided(payment.status, payment.id)


def _is_final_decline(payment: PaymentObject) -> bool:
    """Return whether no money moved and none will."""
    if payment.object == "refund":
        return payment.status in ("failed", "canceled")
    # Without an error it is being confirmed right now.
    refused = payment.status == "requires_payment_method" and payment.last_payment_error is not None
    # Only the customer could act, but the customer is not asked.
    return refused or payment.status in ("requires_action", "canceled")


def to_record(payment: PaymentObject) -> ProviderRecord:
    """Return a PaymentIntent or a Refund as a line of the provider's list."""
    order = (payment.metadata or {}).get("order", "")
    return ProviderRecord(
        kind="refund" if payment.object == "refund" else "charge",
        key=payment.key,
        order=int(order) if order.isdecimal() and len(order) < MAX_ORDER_DIGITS else None,
        reference=payment.id,
        amount=payment.moved if payment.status == "succeeded" else payment.requested,
        currency=payment.currency.upper(),
        state=payment_state(payment),
        created=datetime.fromtimestamp(payment.created, UTC),
        charge=payment.payment_intent,
    )


def payment_state(payment: PaymentObject) -> Literal["succeeded", "declined", "processing"]:
    """Return the state of a PaymentIntent or a Refund in our terms."""
    if payment.status == "succeeded":
        return "succeeded"
    return "declined" if _is_final_decline(payment) else "processing"
