"""The meaning of Stripe's errors for a payment."""

import stripe

from icecream.payments.decline_codes import DECLINED
from icecream.payments.providers.protocol import (
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    Request,
    RequestRefused,
    RetryLater,
)

# If Stripe refuses to carry a charge out, the charge is declined: a retry is useless, because
# Stripe repeats its answer under the same key, and no money moved. The exception is a fault of the
# account or of our request, which an operator can fix. Then the code has one of these prefixes, or
# the error names a parameter that does not come from the payment.
ACCOUNT_ERROR_PREFIXES = (
    "account_",
    "api_key_",
    "idempotency_",
    "livemode_",
    "not_allowed",
    "parameter_",
    "platform_",
    "secret_key_",
    "testmode_",
    "tls_",
    "url_",
)
PAYMENT_PARAMETERS = {
    "amount",
    "charge",
    "currency",
    "customer",
    "payment_intent",
    "payment_method",
}
# A refund is retried, unless it can never be made: the cause at Stripe may disappear later.
FINAL_REFUND_ERRORS = {
    "charge_already_refunded",
    "charge_disputed",
    "payment_intent_unexpected_state",
}
# By decline code, code, or the parameter that an error names.
DECLINE_CODES = {
    "amount": "amount-not-possible",
    "amount_too_large": "amount-not-possible",
    "amount_too_small": "amount-not-possible",
    "authentication_required": "authentication-required",
    "card_declined": "card-declined",
    "charge_already_refunded": "already-refunded",
    "charge_disputed": "disputed",
    "customer": "payment-method-invalid",
    "expired_card": "card-expired",
    "insufficient_funds": "insufficient-funds",
    "payment_intent_authentication_failure": "authentication-required",
    "payment_method": "payment-method-invalid",
}


def decline_code(*texts: str | None) -> str:
    """Return our code for a decline, from the first of Stripe's words that has one."""
    for word in filter(None, texts):
        if word in DECLINE_CODES:
            return DECLINE_CODES[word]
        if word.startswith("payment_method_"):
            return "payment-method-invalid"
    return DECLINED


def convert_request_error(
    error: stripe.InvalidRequestError, request: Request
) -> Declined | RequestRefused:
    """Return what Stripe's refusal to carry a request out means; it moved no money."""
    code, param = error.code or "", (error.param or "").partition("[")[0]
    if isinstance(request, Charge):
        is_unspecified = not code and not param
        is_our_fault = code.startswith(ACCOUNT_ERROR_PREFIXES) or bool(param)
        final = error.http_status == 400 and (is_unspecified or not is_our_fault)
    else:
        final = code in FINAL_REFUND_ERRORS
    if not (final or param in PAYMENT_PARAMETERS):
        return RequestRefused(describe_error(error))
    if isinstance(request, Charge) and not code and not param:
        # An error without code and parameter says that a payment method was used before, or was
        # detached, and cannot be used again.
        return Declined(describe_error(error), "payment-method-invalid")
    return Declined(describe_error(error), decline_code(code, param))


def convert_card_error(error: stripe.CardError) -> Declined:
    """Return the decline of a card."""
    decline: str | None = _error_fields(error).get("decline_code")
    word = decline_code(decline, error.code, error.param)
    return Declined(describe_error(error), "card-declined" if word == DECLINED else word)


def convert_error(error: stripe.StripeError) -> RetryLater | OutcomeUnknown:
    """Return what a failed call means for a payment; never that it was declined."""
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return RequestRefused(describe_error(error))
    # 409: a request with the same key is being carried out.
    if isinstance(error, stripe.RateLimitError) or error.http_status == 409:
        return RetryLater(describe_error(error))
    answered = error.http_status is not None and 400 <= error.http_status < 500
    return (OutcomeUndecided if answered else OutcomeUnknown)(describe_error(error))


def describe_error(error: stripe.StripeError) -> str:
    """Return a text for the database and the log, of codes only: messages may quote sent data."""
    codes = (_error_fields(error).get(name) for name in ("type", "code", "decline_code", "param"))
    texts = ": ".join(code for code in codes if isinstance(code, str))
    text = f"{error.http_status or ''} {texts or type(error).__name__}".strip()
    return f"{text} ({error.request_id})" if error.request_id else text


def _error_fields(error: stripe.StripeError) -> dict[str, str | None]:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    return body["error"] if isinstance(body.get("error"), dict) else {}
