"""The objects and messages of the sandbox, in Stripe's terms as far as we use them."""

from typing import Any

import msgspec
from msgspec import Struct


class PaymentIntent(Struct, kw_only=True, tag_field="object", tag="payment_intent"):
    """A PaymentIntent; it is confirmed when it is created."""

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


class RefundObject(Struct, kw_only=True, tag_field="object", tag="refund"):
    """A refund of a PaymentIntent."""

    id: str
    amount: int
    currency: str
    status: str
    created: int
    payment_intent: str
    metadata: dict[str, str]
    failure_reason: str | None = None


StripeObject = PaymentIntent | RefundObject


class RequestEntry(Struct, kw_only=True, tag_field="entry", tag="request"):
    """A request to move money; it may have had no effect.

    `by` is the end of the API key, and `fault` is the fault that was applied.
    """

    at: float
    by: str
    path: str
    key: str | None
    form: dict[str, str]
    fault: str | None


class ExecutionEntry(
    Struct,
    kw_only=True,
    tag_field="entry",
    tag="execution",
    rename={"request": "asked", "result": "thing"},
):
    """The only execution of a request; with `error`, its response was a 500 nevertheless."""

    at: float
    request: RequestEntry
    result: StripeObject
    error: bool


class ChangeEntry(Struct, kw_only=True, tag_field="entry", tag="change"):
    """The end of a processing payment or refund, or the failure of a succeeded refund."""

    at: float
    reference: str
    status: str


Entry = RequestEntry | ExecutionEntry | ChangeEntry


class ApiResponse(Struct):
    status: int
    body: Any


# The messages of errors, by code, or by type if there is no code.
MESSAGES = {
    "api_key_invalid": "Send an API key that begins with sk_test_.",
    "amount_too_large": "The amount exceeds the maximum of a payment.",
    "api_error": "An internal error at the provider.",
    "authentication_required": "The customer's bank requires authentication of this payment.",
    "card_declined": "The card was declined.",
    "charge_already_refunded": "The whole payment is already refunded.",
    "idempotency_error": "This idempotency key was used with other parameters.",
    "idempotency_key_in_use": "A request with this idempotency key is still in progress.",
    "parameter_invalid": "Invalid value: {param}.",
    "parameter_invalid_integer": "Not an integer: {param}.",
    "parameter_unknown": "Unknown parameter: {param}.",
    "payment_intent_unexpected_state": "This payment did not succeed, so it cannot be refunded.",
    "rate_limit_error": "Too many requests at once.",
    "resource_missing": "No object has this {param}.",
}


class ApiError(Exception):
    """An error in Stripe's format."""

    def __init__(self, status: int, type_: str = "invalid_request_error", **more: Any) -> None:
        message = MESSAGES.get(more.get("code", type_), "The request is not valid.")
        text = message.format(param=more.get("param"))
        self.response = ApiResponse(status, {"error": {"type": type_, "message": text} | more})


def key_in_use() -> ApiError:
    return ApiError(409, "idempotency_error", code="idempotency_key_in_use")


def build_response(execution: ExecutionEntry) -> ApiResponse:
    """Return the response to this request and to later requests with the same key."""
    result = msgspec.to_builtins(execution.result)
    if execution.error:
        return ApiError(500, "api_error").response
    if declined := result.get("last_payment_error"):
        return ApiError(402, "card_error", payment_intent=result, **declined).response
    return ApiResponse(200, result)
