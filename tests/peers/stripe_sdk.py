"""What a shop does with Stripe's SDK for Python; `stripe_sdk.mjs` does the same in Node."""

from collections.abc import Callable
from functools import partial
from typing import Any

import stripe


def _client(url: str, key: str = "sk_test_sdk", retries: int = 0) -> stripe.StripeClient:
    return stripe.StripeClient(key, base_addresses={"api": url}, max_network_retries=retries)


def _refusal(call: Callable[[], object]) -> dict[str, object] | None:
    try:
        call()
    except stripe.StripeError as error:
        body = error.json_body["error"] if isinstance(error.json_body, dict) else {}
        return {
            "class": type(error).__name__,
            "status": error.http_status,
            "code": body.get("code"),
            "decline_code": body.get("decline_code"),
            "param": getattr(error, "param", None),
            "intent": body.get("payment_intent", {}).get("status"),
            "says": bool(error.user_message or str(error)),
        }
    return None


def shop(options: dict[str, Any]) -> dict[str, object]:
    """Return what happened."""
    v1 = _client(options["url"]).v1
    intents, refunds = v1.payment_intents, v1.refunds

    def charge(request: dict[str, Any] | None = None, **changed: Any) -> stripe.PaymentIntent:
        form: dict[str, Any] = {
            "amount": 1200,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
        } | changed
        form = {name: value for name, value in form.items() if value is not None}
        return intents.create(form, request or {})

    paid = charge()
    opened = intents.create({"amount": 500, "currency": "eur"})
    confirmed = intents.confirm(opened.id, {"payment_method": "pm_card_visa"})
    declines = {
        card: _refusal(partial(charge, payment_method=card)) for card in options["declining"]
    }
    key = {"idempotency_key": options["key"]}
    first, again = charge(key), charge(key)
    retried = _client(options["faulty"], retries=2).v1.payment_intents.create(
        {
            "amount": options["reset"],
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "metadata": {"reference": options["key"]},
        }
    )
    part = refunds.create({"payment_intent": paid.id, "amount": 200})
    rest = refunds.create({"payment_intent": paid.id, "expand": ["payment_intent"]})
    customer = f"cus_{options['key']}"
    made = [charge(customer=customer, metadata={"shop": options["key"]}).id for _ in range(5)]
    listed = refunds.list({"payment_intent": paid.id, "expand": ["data.payment_intent"]})
    listing: Any = {"customer": customer, "limit": 2}
    query: Any = {"query": f"metadata['shop']:'{options['key']}'", "limit": 2}
    construct = _client(options["url"]).construct_event
    event = construct(options["body"], options["signature"], options["secret"])
    forged = options["body"].replace("succeeded", "canceled")
    old = refunds.list({}, {"stripe_version": "2020-08-27"})

    def numbers(found: Any) -> list[int]:
        return [made.index(one.id) for one in found.auto_paging_iter()]

    def headers(answer: Any) -> dict[str, str]:
        return {name.lower(): text for name, text in answer.last_response.headers.items()}

    return {
        "paid": [
            paid.status,
            paid.amount_received,
            (paid.client_secret or "").startswith(f"{paid.id}_secret_"),
        ],
        "version": headers(paid)["stripe-version"] == stripe.api_version,
        "confirmed": [opened.status, confirmed.id == opened.id, confirmed.status],
        "declines": declines,
        "replayed": [first.id == again.id, headers(again).get("idempotent-replayed")],
        "reused": _refusal(lambda: charge(key, amount=1300)),
        "retried": retried.status,
        "refunds": [
            part.amount,
            part.payment_intent == paid.id,
            rest.amount,
            getattr(rest.payment_intent, "status", None),
        ],
        "refunded": _refusal(lambda: refunds.create({"payment_intent": paid.id})),
        "listed": [
            [one.amount, getattr(one.payment_intent, "id", None) == paid.id] for one in listed.data
        ],
        "newest_first": numbers(intents.list(listing)),
        "before": numbers(intents.list(listing | {"ending_before": made[0]})),
        "searched": numbers(intents.search(query)),
        "missing": _refusal(lambda: intents.retrieve("pi_of_nobody")),
        "unknown": _refusal(lambda: charge(colour="red")),
        "no_amount": _refusal(lambda: charge(amount=None)),
        "bad_limit": _refusal(lambda: refunds.list({"limit": "abc"})),
        "unauthenticated": _refusal(_client(options["url"], "sk_live_sdk").v1.refunds.list),
        "limited": _refusal(_client(options["busy"]).v1.refunds.list),
        "old_version": headers(old)["stripe-version"],
        "bad_version": _refusal(lambda: refunds.list({}, {"stripe_version": "newest"})),
        "event": [event.type, event.data.object["status"]],
        "forged": _refusal(lambda: construct(forged, options["signature"], options["secret"])),
    }
