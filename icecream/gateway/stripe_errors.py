"""What the errors of Stripe mean for a payment."""

import stripe

from icecream.gateway.failures import DECLINED
from icecream.gateway.protocol import Charge, Declined, Later, Refused, Request, Undecided, Unknown

# A charge that Stripe will not carry out was declined: asking again is in vain, for Stripe repeats
# its answer under the same key, and no money was moved. Only where the account or our request is at
# fault somebody may mend it: then a code begins so, or a parameter is named that is not one of
# those that come from the payment itself.
OF_THE_ACCOUNT = (
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
OF_THIS_PAYMENT = {"amount", "charge", "currency", "customer", "payment_intent", "payment_method"}
# A refund is asked for again, unless it can never be made: what Stripe lacks may come.
NEVER_REFUNDED = {"charge_already_refunded", "charge_disputed", "payment_intent_unexpected_state"}
# By a decline code, a code, or the parameter that an error names.
FAILURES = {
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


def failure(*words: str | None) -> str:
    """Our word for why a payment was declined, by the first of theirs that says it."""
    for word in filter(None, words):
        if word in FAILURES:
            return FAILURES[word]
        if word.startswith("payment_method_"):
            return "payment-method-invalid"
    return DECLINED


def refused(error: stripe.InvalidRequestError, request: Request) -> Declined | Refused:
    """What it means that Stripe will not carry a request out: it moved no money."""
    code, param = error.code or "", (error.param or "").partition("[")[0]
    if isinstance(request, Charge):
        bare = not code and not param
        ours = code.startswith(OF_THE_ACCOUNT) or bool(param)
        final = error.http_status == 400 and (bare or not ours)
    else:
        final = code in NEVER_REFUNDED
    if not (final or param in OF_THIS_PAYMENT):
        return Refused(reason(error))
    if isinstance(request, Charge) and not code and not param:
        # So it says that a payment method was used before, or detached, and is of no more use.
        return Declined(reason(error), "payment-method-invalid")
    return Declined(reason(error), failure(code, param))


def declined(error: stripe.CardError) -> Declined:
    """A card was declined."""
    decline: str | None = _told(error).get("decline_code")
    word = failure(decline, error.code, error.param)
    return Declined(reason(error), "card-declined" if word == DECLINED else word)


def trouble(error: stripe.StripeError) -> Later | Unknown:
    """What a call that went wrong means for a payment; never that it was declined."""
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return Refused(reason(error))
    # 409: a request with the same key is being carried out.
    if isinstance(error, stripe.RateLimitError) or error.http_status == 409:
        return Later(reason(error))
    answered = error.http_status is not None and 400 <= error.http_status < 500
    return (Undecided if answered else Unknown)(reason(error))


def reason(error: stripe.StripeError) -> str:
    """Words for the books and the log: codes alone, for messages may quote what was sent."""
    codes = (_told(error).get(name) for name in ("type", "code", "decline_code", "param"))
    words = ": ".join(code for code in codes if isinstance(code, str))
    what = f"{error.http_status or ''} {words or type(error).__name__}".strip()
    return f"{what} ({error.request_id})" if error.request_id else what


def _told(error: stripe.StripeError) -> dict[str, str | None]:
    body = error.json_body if isinstance(error.json_body, dict) else {}
    return body["error"] if isinstance(body.get("error"), dict) else {}
