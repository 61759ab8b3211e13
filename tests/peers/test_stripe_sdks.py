"""Test the sandbox with Stripe's own SDKs: they get what Stripe would answer."""

import json
import secrets
import subprocess
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import Queue
from threading import Thread
from typing import Any

import httpx
import pytest

from icecream.sandbox import FAULT_BY_DIGITS
from tests.conftest import tool
from tests.peers import stripe_sdk
from tests.processes import ROOT
from tests.sandboxes import WEBHOOK_SECRET, Sandbox

pytestmark = pytest.mark.only("sqlite")
# By card: code and decline code.
DECLINES = {
    "pm_card_visa_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_visa_chargeDeclinedLostCard": ("card_declined", "lost_card"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", "expired_card"),
    "pm_card_chargeDeclinedIncorrectCvc": ("incorrect_cvc", "incorrect_cvc"),
    "pm_card_chargeDeclinedProcessingError": ("processing_error", "processing_error"),
    "pm_card_authenticationRequired": ("authentication_required", "authentication_required"),
}
RESET = 1200 + next(digits for digits, fault in FAULT_BY_DIGITS.items() if fault == "reset-after")


def refusal(class_: str, status: int | None, **more: str) -> dict[str, object]:
    names = dict.fromkeys(("code", "decline_code", "param", "intent"))
    return {"class": class_, "status": status, "says": True} | names | more


class Receiver(BaseHTTPRequestHandler):
    """Keeps the last webhook."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.send_response(200)
        self.end_headers()
        received.put((body, self.headers["Stripe-Signature"]))


received: Queue[tuple[str, str]] = Queue()


@pytest.fixture(scope="module")
def sandboxes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Sandbox]]:
    words = {"url": (), "faulty": ("--fault-amounts",), "busy": ("--fault", "429=1")}
    running = {name: Sandbox(tmp_path_factory.mktemp(name), *words[name]) for name in words}
    yield running
    for sandbox in running.values():
        sandbox.end()


@pytest.fixture(scope="module")
def webhook(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The body and the signature of a webhook about a payment."""
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.handle_request).start()
    url = f"http://127.0.0.1:{server.server_port}/"
    sandbox = Sandbox(tmp_path_factory.mktemp("webhook"), "--webhook-url", url)
    form = {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": "true"}
    paid = httpx.post(f"{sandbox.url}/v1/payment_intents", auth=("sk_test_sdk", ""), data=form)
    assert paid.status_code == 200
    yield received.get(timeout=30)
    sandbox.end()
    server.server_close()


def in_python(options: dict[str, Any]) -> dict[str, Any]:
    # JSON has no tuples.
    happened: dict[str, Any] = json.loads(json.dumps(stripe_sdk.shop(options)))
    return happened


def in_node(options: dict[str, Any]) -> dict[str, Any]:
    command = [tool("node") or "node", ROOT / "tests/peers/stripe_sdk.mjs", f"{ROOT}/.ci/"]
    run = subprocess.run(command, input=json.dumps(options), capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    happened: dict[str, Any] = json.loads(run.stdout)
    return happened


@pytest.mark.parametrize(
    "shop", [in_python, pytest.param(in_node, marks=pytest.mark.needs("node"))]
)
def test_the_sandbox_is_stripe_to_its_sdks(
    shop: Callable[[dict[str, Any]], dict[str, Any]],
    sandboxes: dict[str, Sandbox],
    webhook: tuple[str, str],
) -> None:
    body, signature = webhook
    key = secrets.token_hex(8)
    happened = shop(
        {name: sandbox.url for name, sandbox in sandboxes.items()}
        | {"key": key, "declining": list(DECLINES), "reset": RESET}
        | {"body": body, "signature": signature, "secret": WEBHOOK_SECRET}
    )
    assert happened == {
        "paid": ["succeeded", 1200, True],
        "version": True,
        "confirmed": ["requires_payment_method", True, "succeeded"],
        "declines": {
            card: refusal(
                *("CardError", 402),
                code=code,
                decline_code=decline_code,
                intent="requires_payment_method",
            )
            for card, (code, decline_code) in DECLINES.items()
        },
        "replayed": [True, "true"],
        "reused": refusal("IdempotencyError", 400),
        "retried": "succeeded",
        "refunds": [200, True, 1000, "succeeded"],
        "refunded": refusal("InvalidRequestError", 400, code="charge_already_refunded"),
        "listed": [[1000, True], [200, True]],
        "newest_first": [4, 3, 2, 1, 0],
        # The SDKs page backwards from the oldest one.
        "before": [1, 2, 3, 4],
        "searched": [4, 3, 2, 1, 0],
        "missing": refusal("InvalidRequestError", 404, code="resource_missing", param="id"),
        "unknown": refusal("InvalidRequestError", 400, code="parameter_unknown", param="colour"),
        "no_amount": refusal("InvalidRequestError", 400, code="parameter_missing", param="amount"),
        "bad_limit": refusal(
            "InvalidRequestError", 400, code="parameter_invalid_integer", param="limit"
        ),
        "unauthenticated": refusal("AuthenticationError", 401, code="api_key_invalid"),
        "limited": refusal("RateLimitError", 429, code="rate_limit"),
        "old_version": "2020-08-27",
        "bad_version": refusal("InvalidRequestError", 400),
        "event": ["payment_intent.succeeded", "succeeded"],
        "forged": refusal("SignatureVerificationError", None),
    }
    # The first try was carried out, but its answer was lost.
    assert len(sandboxes["faulty"].requests()) == 2 * len(sandboxes["faulty"].executions())
    assert [one.amount for one in sandboxes["faulty"].executions(key)] == [RESET]
