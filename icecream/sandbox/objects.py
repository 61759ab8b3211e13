"""The objects and messages of the sandbox, in Stripe's terms as far as we use them."""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct


class PaymentIntent(Struct, kw_only=True, tag_field="object", tag="payment_intent"):
    """A PaymentIntent."""

    id: str
    amount: int
    amount_received: int
    currency: str
    status: str
    created: int
    customer: str | None
    payment_method: str | None
    metadata: dict[str, str]
    client_secret: str = ""
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
# The states of a PaymentIntent that can be confirmed.
UNCONFIRMED = ("requires_payment_method", "requires_confirmation")


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
    "expired_card": "The card has expired.",
    "idempotency_error": "This idempotency key was used with other parameters.",
    "idempotency_key_in_use": "A request with this idempotency key is still in progress.",
    "incorrect_cvc": "The security code of the card is incorrect.",
    "insufficient_funds": "The card has insufficient funds.",
    "parameter_invalid": "Invalid value: {param}.",
    "parameter_invalid_integer": "Not an integer: {param}.",
    "parameter_missing": "Missing required parameter: {param}.",
    "parameter_unknown": "Unknown parameter: {param}.",
    "payment_intent_unexpected_state": "The status of this payment does not allow that.",
    "processing_error": "An error occurred while the card was processed.",
    "rate_limit": "Too many requests at once.",
    "resource_missing": "No object has this {param}.",
}


DEFAULT_MESSAGE = "The request is not valid."
# The fields that a client may expand. Customers and payment methods exist here only as ids.
EXPANDABLE: dict[type[StripeObject], set[str]] = {
    PaymentIntent: {"customer", "payment_method"},
    RefundObject: {"payment_intent"},
}


class ApiError(Exception):
    """An error in Stripe's format."""

    def __init__(self, status: int, type_: str = "invalid_request_error", **more: Any) -> None:
        names = (more.get("decline_code"), more.get("code"), type_)
        message = next((MESSAGES[name] for name in names if name in MESSAGES), DEFAULT_MESSAGE)
        text = message.format(param=more.get("param"))
        self.response = ApiResponse(status, {"error": {"type": type_, "message": text} | more})


def key_in_use() -> ApiError:
    return ApiError(409, "idempotency_error", code="idempotency_key_in_use")


def expansions(
    kind: type[StripeObject], parameters: Mapping[str, str], prefix: str = ""
) -> set[str]:
    """Return the fields that a request wants to see as objects; in a list they have a prefix.

    Raises:
        ApiError: an object of this kind has no such field.
    """
    fields = set()
    for name, path in parameters.items():
        if name.startswith("expand["):
            field = path.removeprefix(prefix).partition(".")[0]
            if not path.startswith(prefix) or field not in EXPANDABLE[kind]:
                raise ApiError(400, code="parameter_invalid", param=f"expand: {path}")
            fields.add(field)
    return fields


def expand(
    stripe_object: StripeObject, fields: set[str], intents: Mapping[str, PaymentIntent]
) -> dict[str, Any]:
    """Return an object for a response, with these fields as objects."""
    result: dict[str, Any] = msgspec.to_builtins(stripe_object)
    if "payment_intent" in fields:
        result["payment_intent"] = msgspec.to_builtins(intents[result["payment_intent"]])
    return result


def build_response(execution: ExecutionEntry, intents: Mapping[str, PaymentIntent]) -> ApiResponse:
    """Return the response to this request and to later requests with the same key."""
    fields = expansions(type(execution.result), execution.request.form)
    result = expand(execution.result, fields, intents)
    if execution.error:
        return ApiError(500, "api_error").response
    if declined := result.get("last_payment_error"):
        return ApiError(402, "card_error", payment_intent=result, **declined).response
    return ApiResponse(200, result)
