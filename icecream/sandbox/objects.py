"""The objects and messages of the sandbox, in Stripe's terms as far as we use them."""

from typing import Any

import msgspec
from msgspec import Struct


class Intent(Struct, kw_only=True, tag_field="object", tag="payment_intent"):
    """A PaymentIntent, confirmed when it is made."""

    id: str
    amount: int
    amount_received: int
    currency: str
    status: str
    created: int
    customer: str | None
    payment_method: str
    metadata: dict[str, str]
    last_payment_error: dict[str, Any] | None = None


class Refund(Struct, kw_only=True, tag_field="object", tag="refund"):
    """Money given back of a PaymentIntent."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    payment_intent: str
    metadata: dict[str, str]
    failure_reason: str | None = None


Thing = Intent | Refund


class Asked(Struct, kw_only=True, tag_field="entry", tag="request"):
    """A request to move money, which may have had no effect.

    `by` is the end of the API key, and `fault` is the fault that was applied.
    """

    at: float
    by: str
    path: str
    key: str | None
    form: dict[str, str]
    fault: str | None


class Done(Struct, kw_only=True, tag_field="entry", tag="execution"):
    """The execution of a request, once; `error`: its response was still a 500."""

    at: float
    asked: Asked
    thing: Thing
    error: bool


class Changed(Struct, kw_only=True, tag_field="entry", tag="change"):
    """The end of a processing payment or refund, or the failure of a succeeded refund."""

    at: float
    reference: str
    status: str


Entry = Asked | Done | Changed


class Answer(Struct):
    status: int
    body: Any


# The messages of errors, by code or else by type.
MESSAGES = {
    "api_key_invalid": "Send an API key that begins with sk_test_.",
    "amount_too_large": "The amount is larger than a payment may be.",
    "api_error": "Something went wrong on the provider's side.",
    "authentication_required": "The customer's bank wants to authenticate this payment.",
    "card_declined": "The card was declined.",
    "charge_already_refunded": "All of this payment was refunded before.",
    "idempotency_error": "This idempotency key was used with other parameters before.",
    "idempotency_key_in_use": "A request with this idempotency key is still under way.",
    "parameter_invalid": "This value is not valid: {param}.",
    "parameter_invalid_integer": "This is not a whole number: {param}.",
    "parameter_unknown": "There is no such parameter: {param}.",
    "payment_intent_unexpected_state": "This payment did not succeed, so it cannot be refunded.",
    "rate_limit_error": "Too many requests at once.",
    "resource_missing": "There is nothing with this {param}.",
}


class Refusal(Exception):
    """An error in Stripe's format."""

    def __init__(self, status: int, type_: str = "invalid_request_error", **more: Any) -> None:
        message = MESSAGES.get(more.get("code", type_), "The request is not valid.")
        text = message.format(param=more.get("param"))
        self.answer = Answer(status, {"error": {"type": type_, "message": text} | more})


def in_use() -> Refusal:
    return Refusal(409, "idempotency_error", code="idempotency_key_in_use")


def answer(done: Done) -> Answer:
    """Return the response, also for later requests with the same key."""
    shown = msgspec.to_builtins(done.thing)
    if done.error:
        return Refusal(500, "api_error").answer
    if declined := shown.get("last_payment_error"):
        return Refusal(402, "card_error", payment_intent=shown, **declined).answer
    return Answer(200, shown)
