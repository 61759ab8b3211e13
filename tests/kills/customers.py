"""Customers who order, cancel and try again until they get an answer, as fast as they can."""

import random
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Any, NamedTuple

import httpx

from icecream import errors
from tests.processes import Shop

PASSWORD = "a password of one customer"  # of the tests
CANCEL_SHARE = 0.1
# In seconds, before a request is repeated.
PAUSE = 0.02


class Acknowledged(NamedTuple):
    """An order that was answered with 200, as the customer knows it."""

    id: int
    user: int
    flavor: int
    quantity: int


class Customer:
    """Places orders one after the other. Each one has its key as its reference."""

    def __init__(self, shop: Shop, ports: Sequence[int], flavors: Sequence[int], seed: int) -> None:
        name = f"customer {seed}"
        self._create(shop, name)
        self._random, self._ports, self._flavors = random.Random(seed), ports, flavors
        self._http = httpx.Client(headers=dict(shop.http.headers), timeout=10)
        pair = self._http.post(
            f"http://127.0.0.1:{ports[0]}/api/token/",
            json={"username": name, "password": PASSWORD},
        ).json()
        self._http.headers["Authorization"] = f"Bearer {pair['access']}"
        self.user: int = self._call("GET", "/api/me/").json()["id"]
        self._call("PUT", "/api/payment-method/", {"reference": "pm_card_visa"})
        # Access tokens would expire in the middle of a long run.
        key = self._call("POST", "/api/keys/", {"name": "a key", "scopes": ["read", "order"]})
        self._http.headers["Authorization"] = f"Bearer {key.json()['key']}"
        self.acknowledged: dict[str, Acknowledged] = {}
        self.canceled: set[int] = set()
        self.faults: list[str] = []

    def _create(self, shop: Shop, name: str) -> None:
        assert shop.run("user", "create", name, "--password", PASSWORD).returncode == 0

    def order(self, end: threading.Event) -> None:
        """Order until the end; the last order is repeated until it has an answer, too."""
        with closing(self._http):
            while not end.is_set():
                flavor, quantity = self._random.choice(self._flavors), self._random.randint(1, 3)
                key = f"{self.user}-{len(self.acknowledged)}-{self._random.getrandbits(40):x}"
                body = {"flavor": flavor, "quantity": quantity, "reference": key}
                answer = self._call("POST", "/api/orders/", body, key)
                if answer.status_code != 200:
                    self.faults.append(answer.text)
                    continue
                order = Acknowledged(answer.json()["order_id"], self.user, flavor, quantity)
                self.acknowledged[key] = order
                if self._random.random() < CANCEL_SHARE:
                    self._cancel(order.id)

    def _cancel(self, order: int) -> None:
        answer = self._call("POST", f"/api/orders/{order}/cancel/", key=f"cancel-{order}")
        if answer.is_success:
            self.canceled.add(order)
        elif answer.json()["code"] not in ("invalid-transition", "already-packed"):
            self.faults.append(answer.text)

    def _call(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """Send a request until it is answered, in turn to each server."""
        headers = {"Idempotency-Key": key} if key else {}
        while True:
            url = f"http://127.0.0.1:{self._random.choice(self._ports)}{path}"
            with suppress(httpx.TransportError):
                answer = self._http.request(method, url, json=body, headers=headers)
                if not _has_to_be_repeated(answer):
                    return answer
            time.sleep(PAUSE)


def _has_to_be_repeated(answer: httpx.Response) -> bool:
    """Return whether the request had no effect yet, or one that is not known."""
    return answer.status_code == 503 or (
        answer.status_code == 409 and answer.json()["code"] == errors.IdempotencyKeyInUse.code
    )
