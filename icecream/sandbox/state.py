"""The bank's state in memory: money that moved, and the response to each idempotency key."""

import secrets
import time
from collections import Counter
from pathlib import Path

from icecream.sandbox.ledger import Ledger
from icecream.sandbox.objects import (
    Answer,
    Asked,
    Changed,
    Done,
    Entry,
    Intent,
    Refund,
    Refusal,
    answer,
)

DECLINED = {"code": "card_declined", "decline_code": "generic_decline"}
# Stripe's names of test cards, and the reason for which each is declined.
METHODS: dict[str, dict[str, str] | None] = {
    "pm_card_visa": None,
    "pm_card_mastercard": None,
    "pm_card_chargeDeclined": DECLINED,
    "pm_card_visa_chargeDeclined": DECLINED,
    "pm_card_chargeCustomerFail": DECLINED,
    "pm_card_visa_chargeDeclinedInsufficientFunds": DECLINED
    | {"decline_code": "insufficient_funds"},
    "pm_card_authenticationRequired": {
        "code": "authentication_required",
        "decline_code": "authentication_required",
    },
}
CHARGE = {
    "amount",
    "currency",
    "payment_method",
    "confirm",
    "off_session",
    "automatic_payment_methods[enabled]",
    "automatic_payment_methods[allow_redirects]",
    "customer",
}
REFUND = {"payment_intent", "amount"}
# Stripe's maximum amount: eight digits.
MOST = 99_999_999

Form = dict[str, str]


class Bank:
    """Decides on requests, and records them.

    Args:
        key_life: the seconds after which a key starts a new request, as at Stripe.
    """

    def __init__(self, path: Path, key_life: float) -> None:
        self._key_life = key_life
        self.ledger = Ledger(path)
        self.intents: dict[str, Intent] = {}
        self.refunds: dict[str, Refund] = {}
        self._given: Counter[str] = Counter()
        self._done: dict[str | None, tuple[Done, Answer]] = {}
        self._asked: set[str | None] = set()
        for entry in self.ledger.read():
            self._apply(entry)

    def note(self, entry: Entry) -> None:
        self._apply(entry)
        self.ledger.note(entry)

    def _apply(self, entry: Entry) -> None:
        if isinstance(entry, Asked):
            self._asked.add(entry.key)
        elif isinstance(entry, Changed):
            self._end(entry.reference, entry.status)
        else:
            self._keep(entry.thing)
            self._done[entry.asked.key] = (entry, answer(entry))

    def _keep(self, thing: Intent | Refund) -> None:
        if isinstance(thing, Intent):
            self.intents[thing.id] = thing
        else:
            self.refunds[thing.id] = thing
            self._given[thing.payment_intent] += thing.amount * (thing.status != "failed")

    def _end(self, reference: str, status: str) -> None:
        """End a processing payment or refund as succeeded, or let a succeeded refund fail."""
        thing = self.intents.get(reference) or self.refunds[reference]
        thing.status = status
        if isinstance(thing, Intent):
            thing.amount_received = thing.amount
        elif status == "failed":
            thing.failure_reason = "expired_or_canceled_card"
            self._given[thing.payment_intent] -= thing.amount

    def meets(self, key: str | None) -> bool:
        """Record the use of a key, and return whether it was new."""
        known = key is not None and key in self._asked
        self._asked.add(key)
        return not known

    def remembered(self, asked: Asked) -> Answer | None:
        """Return the response that was given under this key, if the key has not expired."""
        done, answer = self._done.get(asked.key, (None, None))
        if done is None or asked.key is None or time.time() - done.at > self._key_life:
            return None
        if (done.asked.path, done.asked.form) != (asked.path, asked.form):
            raise Refusal(400, "idempotency_error")
        return answer

    def charge(self, form: Form, fault: str | None) -> Intent:
        """Return the result of a charge, without recording it."""
        amount, metadata = _amount(form), _metadata(form, CHARGE)
        _need(form.get("confirm") == "true", "confirm")
        _need("currency" in form, "currency")
        if form.get("payment_method") not in METHODS:
            raise Refusal(400, code="resource_missing", param="payment_method")
        no = DECLINED if fault == "decline" else METHODS[form["payment_method"]]
        status = "requires_payment_method" if no else "succeeded"
        if not no and fault in ("processing", "requires-action"):
            status = fault.replace("-", "_")
        arrived = _another(amount) if fault == "wrong-amount" else amount
        return Intent(
            id=f"pi_{secrets.token_hex(12)}",
            amount=amount,
            amount_received=arrived if status == "succeeded" else 0,
            currency=form["currency"],
            status=status,
            created=int(time.time()),
            customer=form.get("customer"),
            payment_method=form["payment_method"],
            metadata=metadata,
            last_payment_error=no,
        )

    def refund(self, form: Form, fault: str | None) -> Refund:
        """Return the result of a refund, without recording it."""
        metadata = _metadata(form, REFUND)
        intent = self.intents.get(form.get("payment_intent", ""))
        if intent is None:
            raise Refusal(404, code="resource_missing", param="payment_intent")
        if intent.status != "succeeded":
            raise Refusal(400, code="payment_intent_unexpected_state", param="payment_intent")
        left = intent.amount_received - self._given[intent.id]
        if left == 0:
            raise Refusal(400, code="charge_already_refunded")
        amount = _amount(form) if "amount" in form else left
        _need(amount <= left, "amount")
        status = {"decline": "failed", "processing": "pending"}.get(fault or "", "succeeded")
        return Refund(
            id=f"re_{secrets.token_hex(12)}",
            amount=_another(amount) if fault == "wrong-amount" else amount,
            currency=intent.currency,
            status=status,
            created=int(time.time()),
            payment_intent=intent.id,
            metadata=metadata,
            failure_reason="declined" if status == "failed" else None,
        )


def _metadata(form: Form, known: set[str]) -> dict[str, str]:
    """Return the metadata; refuse a form with unknown fields, as Stripe does."""
    for name in form:
        # `expand[` is accepted and ignored: the objects here have nothing to expand.
        if name not in known and not name.startswith(("metadata[", "expand[")):
            raise Refusal(400, code="parameter_unknown", param=name)
    return {name[9:-1]: form[name] for name in form if name.startswith("metadata[")}


def _need(true: bool, param: str) -> None:
    if not true:
        raise Refusal(400, code="parameter_invalid", param=param)


def _amount(form: Form) -> int:
    text = form.get("amount", "")
    _need(text.isdecimal() and int(text) > 0, "amount")
    if int(text) > MOST:
        raise Refusal(400, code="amount_too_large", param="amount")
    return int(text)


def _another(amount: int) -> int:
    return amount - 1 or 2
