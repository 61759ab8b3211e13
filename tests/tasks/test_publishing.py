"""Test that servers and workers publish events soon, even if one of them dies."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from icecream import database
from icecream.feed import events, publisher
from icecream.runtime import background
from tasks import publishing
from tests.conftest import ADMIN_PASSWORD, WHICH, Caller, place, publish_all
from tests.conftest import until as until_here
from tests.processes import PATIENCE, Process, Shop, stop, until


async def published(upto: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while (await events.read_last_event()).position < upto:  # noqa: ASYNC110  # there is no notification
            await asyncio.sleep(0.01)


@pytest.mark.anyio
async def test_events_of_this_process_are_published_at_once_and_others_soon(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = await publish_all()
    monkeypatch.setattr(publishing, "PUBLISH_INTERVAL_SECONDS", 600)
    async with publishing.run_publisher():
        await place(customer.user.id, {flavor: 1})
        await published(begin + 1)
    assert database._commit_callbacks == []
    monkeypatch.setattr(publishing, "PUBLISH_INTERVAL_SECONDS", 0.05)
    await place(customer.user.id, {flavor: 1})
    async with publishing.run_publisher():
        await published(begin + 2)


@pytest.mark.anyio
async def test_a_bug_does_not_end_the_publisher(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begin, real = await publish_all(), publisher.publish_events
    faults = [RuntimeError("a bug"), database.DatabaseUnavailable("away")]

    async def publish() -> bool:
        if faults:
            raise faults.pop()
        return await real()

    monkeypatch.setattr(publisher, "publish_events", publish)
    monkeypatch.setattr(publishing, "PUBLISH_INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0.05)
    async with publishing.run_publisher():
        await until_here(lambda: asyncio.sleep(0, background.restart_warnings() != []))
        assert background.restart_warnings() == ["The publisher failed and will be restarted."]
        await place(customer.user.id, {flavor: 1})
        await published(begin + 1)
    assert background.restart_warnings() == []
    assert "RuntimeError: a bug" in caplog.text


class Listener:
    """Follows the feed on one server after the other, as an integrator's program would."""

    def __init__(self, *shops: Shop, patience: float = PATIENCE) -> None:
        self.shops, self.patience, self.last = shops, patience, "0"
        self.received: list[tuple[int, dict[str, Any]]] = []
        self.ends: list[bool] = []
        self.enough = False
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> "Listener":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.enough = True
        self._thread.join()

    def _listen(self) -> None:
        while not self.enough:
            for shop in self.shops:
                with contextlib.suppress(httpx.TransportError):
                    self._follow(shop)
                    self.ends.append(True)

    def _follow(self, shop: Shop) -> None:
        call: dict[str, Any] = {"headers": {"Last-Event-ID": self.last}, "timeout": self.patience}
        with shop.http.stream("GET", "/api/events/", **call) as answer:
            assert answer.status_code in (200, 503), answer.read()
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                elif name == "data":
                    self.received.append((int(self.last), msgspec.json.decode(value)))
                if self.enough:
                    return


@pytest.fixture
def shops(tmp_path: Path, empty_database: str) -> Iterator[list[Shop]]:
    """Servers on one database, each on its own port; with SQLite there is one server."""
    with contextlib.ExitStack() as stack:
        folders = ["first"] if WHICH == "sqlite" else ["first", "second"]
        shops = [stack.enter_context(Shop(tmp_path / name, empty_database)) for name in folders]
        assert shops[0].run("migrate").returncode == 0
        yield shops


def opened(shop: Shop) -> Process:
    process = shop.serve()
    shop.sign_in("admin", ADMIN_PASSWORD)
    return process


def test_no_event_is_missed_or_repeated_when_servers_are_killed(
    shops: list[Shop],
) -> None:
    processes = [opened(shop) for shop in shops]
    if WHICH == "postgres":
        shops[0].worker()
    # The listener also disconnects each time it received nothing for a second.
    with Listener(*shops, patience=1) as listener:
        for _ in range(2):
            orders = [shop.order() for _ in range(10) for shop in shops]
            until(lambda: len(listener.received) >= len(orders), "the events of the orders arrive")  # noqa: B023
            processes[0].kill()
            processes[0] = opened(shops[0])
        shops[0].all_ended()
        count = 2 * 2 * len(orders)
        until(lambda: len(listener.received) >= count, "all events arrive")
    positions = [position for position, _ in listener.received]
    assert positions == list(range(1, count + 1))
    assert len({(data["order"], data["seq"]) for _, data in listener.received}) == count
    assert "every rule holds" in shops[0].run("doctor").stdout


def test_a_stopping_server_ends_its_streams_at_once(shops: list[Shop]) -> None:
    process, shop = opened(shops[0]), shops[0]
    shop.order()
    with Listener(shop) as listener:
        until(lambda: listener.received, "the client is connected")
        listener.enough = True
        assert stop(process) < 2.5
        until(lambda: listener.ends == [True], "the stream ended as it should", 1)
