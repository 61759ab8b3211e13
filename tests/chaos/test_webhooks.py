"""Test webhooks when the process that sends them is killed: each event arrives, in order."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import Process, Shop, until
from tests.webhooks.receivers import Received, Receiver, receiving

pytestmark = pytest.mark.anyio
# The process kills itself at the failpoint that the control file names, once. Its leases and
# pauses are short.
ALTERATION = """
import os, pathlib, signal
from icecream.runtime import failpoints
from icecream.webhooks import delivering, rounds
delivering.LEASE_SECONDS = 2.0
delivering.MIN_PAUSE_SECONDS = 0.1
rounds.RETRY_DELAYS = (0.2,) * 9
control = pathlib.Path({control!r})
def act(name):
    if control.exists() and control.read_text() == name:
        control.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
for name in failpoints.FAILPOINTS:
    failpoints.arm_failpoint(name, lambda name=name: act(name))
"""
KILLS = ("deliveries.queued", "deliveries.leased", "deliveries.sent", "deliveries.recorded")
SETTINGS = {
    "ICECREAM_PAYMENT_FAILURE_RATE": "0.3",
    "ICECREAM_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.1",
}


@contextmanager
def receiver_thread() -> Iterator[Receiver]:
    """A receiver that fails often, in a thread of its own."""
    loop, ready, ended = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    found: list[Receiver] = []

    def behave(one: Received) -> int | float | None:
        return (200, 500, 200, None, 0.01)[len(found[0].received) % 5]

    async def serve() -> None:
        async with receiving(behave) as receiver:
            found.append(receiver)
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def start(shop: Shop) -> Process:
    """Start the process that sends webhooks."""
    altered = ALTERATION.format(control=str(shop.folder / "control"))
    process = shop.begin_altered(altered, "serve" if WHICH == "sqlite" else "worker")
    shop.ready(process)
    return process


def place_orders(shop: Shop, count: int) -> None:
    # With SQLite the server is the process that dies, perhaps before it answers.
    with suppress(httpx.TransportError):
        for _ in range(count):
            shop.http.post("/api/orders/", json={"quantity": 1, "flavor": 1})


def has_arrived(shop: Shop, receiver: Receiver) -> bool:
    """Return whether every event of all orders has arrived, each order in sequence."""
    orders = [one["id"] for one in shop.http.get("/api/orders/").json()]
    histories = [shop.http.get(f"/api/orders/{order}/").json() for order in orders]
    if any(one["status"] == "pending" for one in histories):
        return False
    wanted = {one["id"]: [*range(1, len(one["history"]) + 1)] for one in histories}
    return receiver.seqs() == wanted


async def test_every_event_arrives_in_order_although_the_sender_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    with Shop(tmp_path, database_url, **SETTINGS) as shop, receiver_thread() as receiver:
        assert shop.run("migrate").returncode == 0
        if WHICH == "postgres":
            shop.serve()
        sender = start(shop)
        shop.sign_in("admin", ADMIN_PASSWORD)
        created = shop.http.post("/api/webhooks/", json={"url": receiver.url})
        assert created.status_code == 201, created.text
        receiver.secrets = [created.json()["secret"]]
        for failpoint in KILLS:
            (shop.folder / "control").write_text(failpoint)
            place_orders(shop, 3)
            until(lambda: not sender.running, f"it dies at {failpoint}")  # noqa: B023
            assert sender.wait() == -signal.SIGKILL, sender.output
            sender = start(shop)
        until(lambda: has_arrived(shop, receiver), "every event has arrived")
        assert receiver.unverified == []
        assert len(receiver.seqs()) >= len(KILLS)
        ids = [one.headers["webhook-id"] for one in receiver.received]
        # Some were sent again.
        assert len(set(ids)) < len(ids)
