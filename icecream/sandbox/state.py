"""The sandbox's state in memory: payments, refunds, and the response to each idempotency key."""

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from icecream import money
from icecream.sandbox.ledger import Ledger
from icecream.sandbox.objects import (
    UNCONFIRMED,
    ApiError,
    ApiResponse,
    ChangeEntry,
    Entry,
    ExecutionEntry,
    PaymentIntent,
    RefundObject,
    RequestEntry,
    StripeObject,
    build_response,
    expansions,
)


def _declined(decline_code: str, code: str = "card_declined") -> dict[str, str]:
    return {"code": code, "decline_code": decline_code}


GENERIC_DECLINE = _declined("generic_decline")
# Stripe's names of test cards, each with the error of its decline; None: it is charged.
DECLINE_BY_TEST_CARD: dict[str, dict[str, str] | None] = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeDeclined": GENERIC_DECLINE,
    "pm_card_visa_chargeDeclined": GENERIC_DECLINE,
    "pm_card_chargeCustomerFail": GENERIC_DECLINE,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _declined("insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": _declined("lost_card"),
    "pm_card_visa_chargeDeclinedStolenCard": _declined("stolen_card"),
    "pm_card_chargeDeclinedExpiredCard": _declined("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": _declined("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": _declined("processing_error", "processing_error"),
    "pm_card_authenticationRequired": _declined(*2 * ["authentication_required"]),
}
CONFIRM_PARAMETERS = {"payment_method", "off_session"}
CHARGE_PARAMETERS = CONFIRM_PARAMETERS | {
    "amount",
    "currency",
    "confirm",
    "automatic_payment_methods[enabled]",
    "automatic_payment_methods[allow_redirects]",
    "customer",
}
REFUND_PARAMETERS = {"payment_intent", "amount"}
# Stripe's maximum amount: eight digits.
MAX_AMOUNT = 99_999_999
# Amounts in these currencies must be multiples. This is Stripe's documentation, not
# `icecream.stripe_units`: what it checks must not share its mistakes.
AMOUNT_STEPS = {"isk": 100, "ugx": 100} | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 10)

FormData = dict[str, str]


class Bank:
    """Executes requests, and records them.

    Args:
        key_life: the seconds after which a key counts as new, as at Stripe.
    """

    def __init__(self, path: Path, key_life: float) -> None:
        self._key_life = key_life
        self.ledger = Ledger(path)
        self.intents: dict[str, PaymentIntent] = {}
        self.refunds: dict[str, RefundObject] = {}
        self._refunded: Counter[str] = Counter()
        self._executions: dict[str | None, tuple[ExecutionEntry, ApiResponse]] = {}
        self._used_keys: set[str | None] = set()
        for entry in self.ledger.read():
            self._apply(entry)

    def record(self, entry: Entry) -> None:
        self._apply(entry)
        self.ledger.append(entry)

    def _apply(self, entry: Entry) -> None:
        if isinstance(entry, RequestEntry):
            self._used_keys.add(entry.key)
        elif isinstance(entry, ChangeEntry):
            self._change_status(entry.reference, entry.status)
        else:
            self._store(entry.result)
            self._executions[entry.request.key] = (entry, build_response(entry, self.intents))

    def _store(self, stripe_object: PaymentIntent | RefundObject) -> None:
        if isinstance(stripe_object, PaymentIntent):
            self.intents[stripe_object.id] = stripe_object
        else:
            self.refunds[stripe_object.id] = stripe_object
            if stripe_object.status != "failed":
                self._refunded[stripe_object.payment_intent] += stripe_object.amount

    def _change_status(self, reference: str, status: str) -> None:
        """End a processing payment or refund as succeeded, or let a succeeded refund fail."""
        stripe_object = self.intents.get(reference) or self.refunds[reference]
        stripe_object.status = status
        if isinstance(stripe_object, PaymentIntent):
            stripe_object.amount_received = stripe_object.amount
        elif status == "failed":
            stripe_object.failure_reason = "expired_or_canceled_card"
            self._refunded[stripe_object.payment_intent] -= stripe_object.amount

    def objects(self, kind: type[StripeObject]) -> Mapping[str, StripeObject]:
        """Return all objects of a kind by their ids, the oldest first."""
        return self.intents if kind is PaymentIntent else self.refunds

    def use_key(self, key: str | None) -> bool:
        """Record the use of a key, and return whether it was new."""
        was_used = key is not None and key in self._used_keys
        self._used_keys.add(key)
        return not was_used

    def find_response(self, request: RequestEntry) -> ApiResponse | None:
        """Return the response to the first request with this key, if the key has not expired."""
        execution, response = self._executions.get(request.key, (None, None))
        if execution is None or request.key is None or time.time() - execution.at > self._key_life:
            return None
        if (execution.request.path, execution.request.form) != (request.path, request.form):
            raise ApiError(400, "idempotency_error")
        return response

    def charge(self, form: FormData, fault: str | None) -> PaymentIntent:
        """Return a new PaymentIntent, without recording it."""
        metadata = _parse_metadata(PaymentIntent, form, CHARGE_PARAMETERS)
        currency = _required(form, "currency").lower()
        _require(form.get("confirm", "false") in ("true", "false"), "confirm")
        _require(money.decimal_places(currency.upper()) is not None, "currency")
        reference = f"pi_{secrets.token_hex(12)}"
        intent = PaymentIntent(
            id=reference,
            amount=_parse_amount(form, currency),
            amount_received=0,
            currency=currency,
            status="requires_payment_method",
            created=int(time.time()),
            customer=form.get("customer"),
            payment_method=None,
            metadata=metadata,
            client_secret=f"{reference}_secret_{secrets.token_hex(12)}",
        )
        if form.get("confirm") == "true":
            return _confirm(intent, form, fault)
        if "payment_method" in form:
            _find_card(form["payment_method"])
            return replace(
                intent, payment_method=form["payment_method"], status="requires_confirmation"
            )
        return intent

    def confirm(self, reference: str, form: FormData, fault: str | None) -> PaymentIntent:
        """Return a PaymentIntent after its confirmation, without recording it."""
        _parse_metadata(PaymentIntent, form, CONFIRM_PARAMETERS)
        intent = self.intents.get(reference)
        if intent is None:
            raise ApiError(404, code="resource_missing", param="intent")
        if intent.status not in UNCONFIRMED:
            raise ApiError(400, code="payment_intent_unexpected_state")
        return _confirm(intent, form, fault)

    def refund(self, form: FormData, fault: str | None) -> RefundObject:
        """Return the result of a refund, without recording it."""
        metadata = _parse_metadata(RefundObject, form, REFUND_PARAMETERS)
        intent = self.intents.get(_required(form, "payment_intent"))
        if intent is None:
            raise ApiError(404, code="resource_missing", param="payment_intent")
        if intent.status != "succeeded":
            raise ApiError(400, code="payment_intent_unexpected_state", param="payment_intent")
        remaining = intent.amount_received - self._refunded[intent.id]
        if remaining == 0:
            raise ApiError(400, code="charge_already_refunded")
        amount = _parse_amount(form, intent.currency) if "amount" in form else remaining
        _require(amount <= remaining, "amount")
        status = {"decline": "failed", "processing": "pending"}.get(fault or "", "succeeded")
        return RefundObject(
            id=f"re_{secrets.token_hex(12)}",
            amount=_different_amount(amount) if fault == "wrong-amount" else amount,
            currency=intent.currency,
            status=status,
            created=int(time.time()),
            payment_intent=intent.id,
            metadata=metadata,
            failure_reason="declined" if status == "failed" else None,
        )


def _confirm(intent: PaymentIntent, form: FormData, fault: str | None) -> PaymentIntent:
    method = form.get("payment_method", intent.payment_method)
    if method is None:
        raise ApiError(400, code="parameter_missing", param="payment_method")
    decline = GENERIC_DECLINE if fault == "decline" else _find_card(method)
    status = "requires_payment_method" if decline else "succeeded"
    if not decline and fault in ("processing", "requires-action"):
        status = fault.replace("-", "_")
    received = _different_amount(intent.amount) if fault == "wrong-amount" else intent.amount
    return replace(
        intent,
        amount_received=received if status == "succeeded" else 0,
        status=status,
        payment_method=method,
        last_payment_error=decline,
    )


def _find_card(method: str) -> dict[str, str] | None:
    """Return the error of a test card, if it is declined."""
    if method not in DECLINE_BY_TEST_CARD:
        raise ApiError(400, code="resource_missing", param="payment_method")
    return DECLINE_BY_TEST_CARD[method]


def _parse_metadata(kind: type[StripeObject], form: FormData, known: set[str]) -> dict[str, str]:
    """Return the metadata; refuse a form with unknown fields, as Stripe does."""
    for name in form:
        if name not in known and not name.startswith(("metadata[", "expand[")):
            raise ApiError(400, code="parameter_unknown", param=name)
    expansions(kind, form)
    return {name[9:-1]: form[name] for name in form if name.startswith("metadata[")}


def _required(form: FormData, param: str) -> str:
    if param not in form:
        raise ApiError(400, code="parameter_missing", param=param)
    return form[param]


def _require(condition: bool, param: str) -> None:
    if not condition:
        raise ApiError(400, code="parameter_invalid", param=param)


def _parse_amount(form: FormData, currency: str) -> int:
    text = _required(form, "amount")
    _require(text.isascii() and text.isdecimal() and 0 < len(text) < 16, "amount")
    _require(int(text) > 0, "amount")
    if int(text) > MAX_AMOUNT:
        raise ApiError(400, code="amount_too_large", param="amount")
    _require(int(text) % AMOUNT_STEPS.get(currency, 1) == 0, "amount")
    return int(text)


def _different_amount(amount: int) -> int:
    return amount - 1 or 2
