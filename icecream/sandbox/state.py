"""The sandbox's state in memory: payments, refunds, and the response to each idempotency key."""

import secrets
import time
from collections import Counter
from pathlib import Path

from icecream.sandbox.ledger import Ledger
from icecream.sandbox.objects import (
    ApiError,
    ApiResponse,
    ChangeEntry,
    Entry,
    ExecutionEntry,
    PaymentIntent,
    RefundObject,
    RequestEntry,
    build_response,
)

GENERIC_DECLINE = {"code": "card_declined", "decline_code": "generic_decline"}
# Stripe's names of test cards, each with the error of its decline; None: it is charged.
DECLINE_BY_TEST_CARD: dict[str, dict[str, str] | None] = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeDeclined": GENERIC_DECLINE,
    "pm_card_visa_chargeDeclined": GENERIC_DECLINE,
    "pm_card_chargeCustomerFail": GENERIC_DECLINE,
    "pm_card_visa_chargeDeclinedInsufficientFunds": GENERIC_DECLINE
    | {"decline_code": "insufficient_funds"},
    "pm_card_authenticationRequired": {
        "code": "authentication_required",
        "decline_code": "authentication_required",
    },
}
CHARGE_PARAMETERS = {
    "amount",
    "currency",
    "payment_method",
    "confirm",
    "off_session",
    "automatic_payment_methods[enabled]",
    "automatic_payment_methods[allow_redirects]",
    "customer",
}
REFUND_PARAMETERS = {"payment_intent", "amount"}
# Stripe's maximum amount: eight digits.
MAX_AMOUNT = 99_999_999

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
            self._executions[entry.request.key] = (entry, build_response(entry))

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
        """Return the result of a charge, without recording it."""
        amount, metadata = _parse_amount(form), _parse_metadata(form, CHARGE_PARAMETERS)
        _require(form.get("confirm") == "true", "confirm")
        _require("currency" in form, "currency")
        if form.get("payment_method") not in DECLINE_BY_TEST_CARD:
            raise ApiError(400, code="resource_missing", param="payment_method")
        decline = (
            GENERIC_DECLINE if fault == "decline" else DECLINE_BY_TEST_CARD[form["payment_method"]]
        )
        status = "requires_payment_method" if decline else "succeeded"
        if not decline and fault in ("processing", "requires-action"):
            status = fault.replace("-", "_")
        received = _different_amount(amount) if fault == "wrong-amount" else amount
        return PaymentIntent(
            id=f"pi_{secrets.token_hex(12)}",
            amount=amount,
            amount_received=received if status == "succeeded" else 0,
            currency=form["currency"],
            status=status,
            created=int(time.time()),
            customer=form.get("customer"),
            payment_method=form["payment_method"],
            metadata=metadata,
            last_payment_error=decline,
        )

    def refund(self, form: FormData, fault: str | None) -> RefundObject:
        """Return the result of a refund, without recording it."""
        metadata = _parse_metadata(form, REFUND_PARAMETERS)
        intent = self.intents.get(form.get("payment_intent", ""))
        if intent is None:
            raise ApiError(404, code="resource_missing", param="payment_intent")
        if intent.status != "succeeded":
            raise ApiError(400, code="payment_intent_unexpected_state", param="payment_intent")
        remaining = intent.amount_received - self._refunded[intent.id]
        if remaining == 0:
            raise ApiError(400, code="charge_already_refunded")
        amount = _parse_amount(form) if "amount" in form else remaining
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


def _parse_metadata(form: FormData, known: set[str]) -> dict[str, str]:
    """Return the metadata; refuse a form with unknown fields, as Stripe does."""
    for name in form:
        # `expand[` is accepted and ignored: the objects here have nothing to expand.
        if name not in known and not name.startswith(("metadata[", "expand[")):
            raise ApiError(400, code="parameter_unknown", param=name)
    return {name[9:-1]: form[name] for name in form if name.startswith("metadata[")}


def _require(condition: bool, param: str) -> None:
    if not condition:
        raise ApiError(400, code="parameter_invalid", param=param)


def _parse_amount(form: FormData) -> int:
    text = form.get("amount", "")
    _require(text.isdecimal() and int(text) > 0, "amount")
    if int(text) > MAX_AMOUNT:
        raise ApiError(400, code="amount_too_large", param="amount")
    return int(text)


def _different_amount(amount: int) -> int:
    return amount - 1 or 2
