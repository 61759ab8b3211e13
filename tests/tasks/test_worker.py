"""Test how much a worker does at once, and how it handles lost, odd or late notifications."""

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError
from taskiq.receiver import Receiver

from icecream import database, settings
from icecream.idempotency import keys
from icecream.payments import providers, reconciliation, webhook_inbox
from icecream.payments.executor import Executor
from icecream.payments.providers import OutcomeUnknown
from icecream.runtime import background, logs
from icecream.tables import Job, Payment
from tasks import broker, notify, sweep, worker
from tests import ledger, servers
from tests.conftest import Caller, Provider, place, until, yes
from tests.processes import PATIENCE

pytestmark = pytest.mark.anyio
# So rare that the sweep finds nothing during a test.
NO_SWEEP = "86400"


@pytest.fixture(autouse=True)
async def alone(opened: None) -> None:
    """Move the jobs of earlier tests to a date far in the future."""
    await Job.update({Job.run_at: datetime(2099, 1, 1, tzinfo=UTC)}, force=True)


@pytest.fixture(autouse=True)
def provider(monkeypatch: pytest.MonkeyPatch) -> Provider:
    provider = Provider()
    monkeypatch.setattr(providers, "create_gateway", lambda _: provider)
    return provider


def use(monkeypatch: pytest.MonkeyPatch, *, redis: int | None = None, **chosen: str) -> Any:
    """Use a broker for one test, in memory or on a port of Redis, with settings that fit."""
    if redis is not None:
        chosen |= {
            "redis_url": f"redis://127.0.0.1:{redis}/0",
            "database_url": "postgresql://is/open",
            "secret_key": os.environ["ICECREAM_SECRET_KEY"],
        }
    read = settings.read({f"ICECREAM_{name.upper()}": value for name, value in chosen.items()})
    monkeypatch.setattr(settings, "load", lambda: read)
    bell = broker._broker()
    for module in (broker, notify, worker):
        monkeypatch.setattr(module, "broker", bell)
    monkeypatch.setattr(notify, "charge", bell.task("payments.charge")(notify.charge.original_func))
    return bell


async def placed(customer: Caller, flavor: int, count: int) -> list[int]:
    """Place so many orders and return their payments."""
    orders = [await place(customer.user.id, {flavor: 1}) for _ in range(count)]
    return [order.payment for order in orders if order.payment is not None]


async def settled(expected: list[int]) -> None:
    async def done() -> bool:
        return not await Job.exists().where(Job.subject.is_in(expected))

    await until(done)
    states = await Payment.select(Payment.state).where(Payment.id.is_in(expected))
    assert [row["state"] for row in states] == ["succeeded"] * len(expected)


async def in_flight(expected: list[int]) -> bool:
    sent = await Payment.count().where(Payment.id.is_in(expected), Payment.state == "sent")
    return bool(sent == len(expected))


async def test_no_more_payments_are_in_flight_than_there_are_places(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep="0.05")
    some = await placed(customer, flavor, 30)
    async with broker.running(), worker.working(3):
        for one in some:
            await notify.ring([one])
        await notify.ring(some)
        await settled(some)
    assert provider.most_at_once == 3
    await ledger.check()


async def test_what_a_provider_tells_is_applied_by_sweeping(
    monkeypatch: pytest.MonkeyPatch,
    provider: Provider,
    no_notices: None,
    customer: Caller,
    flavor: int,
) -> None:
    use(monkeypatch, sweep="0.05")
    monkeypatch.setattr(webhook_inbox, "LOOKUP_DELAY", timedelta())
    provider.answers = [OutcomeUnknown()]
    (one,) = await placed(customer, flavor, 1)
    async with broker.running(), worker.working(3):
        await until(lambda: unknown(one))
        (asked,) = provider.asked
        provider.found = yes(asked, f"told of {one}")
        await webhook_inbox.store_event(
            "simulated", providers.WebhookEvent("evt_1", asked.key, "pi_1")
        )
        await settled([one])
    assert provider.looked_up == [(asked, "pi_1")]
    assert len(provider.asked) == 1
    await ledger.check()


async def unknown(payment: int) -> bool:
    return await Payment.exists().where(Payment.id == payment, Payment.state == "unknown")


async def test_a_queue_that_is_full_loses_rings_but_no_payments(
    monkeypatch: pytest.MonkeyPatch, customer: Caller, flavor: int
) -> None:
    monkeypatch.setattr(broker, "LONGEST_QUEUE", 2)
    bell = use(monkeypatch, sweep="0.05")
    some = await placed(customer, flavor, 10)
    for one in some:
        await notify.ring([one])
    assert bell.queue.qsize() == 2
    async with broker.running(), worker.working(3):
        await settled(some)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (database.Unavailable("gone"), "The database is away (gone)."),
        (KeyError("bug"), "Carrying out payments that were rung for failed: KeyError('bug')"),
    ],
)
async def test_rings_that_cannot_be_followed_cost_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    monkeypatch.setattr(logs, "DATABASE", logs.Outage(logging.getLogger("x"), "The database"))
    monkeypatch.setattr(logs, "_written", {})
    heard: list[int] = []

    async def execute(self: Executor, ids: list[int], customers: list[int]) -> None:
        heard.extend(ids)
        raise error

    monkeypatch.setattr(Executor, "execute", execute)
    async with broker.running(), worker.working(3):
        for one in range(5):
            await notify.ring([one])
        await until(lambda: asyncio.sleep(0, len(heard) == 5))
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert [one.getMessage() for one in told] == [line]
    assert bool(told[0].exc_info) == isinstance(error, KeyError)


async def test_what_is_in_flight_when_the_worker_stops_is_finished(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    provider.takes = 0.2
    async with broker.running(), worker.working(10):
        some = await placed(customer, flavor, 3)
        await notify.ring(some)
        await until(lambda: in_flight(some))
    await settled(some)


async def test_what_takes_too_long_when_the_worker_stops_is_left_for_the_next(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    monkeypatch.setattr(worker, "GRACE", 0.05)
    async with broker.running(), worker.working(10):
        some = await placed(customer, flavor, 1)
        provider.takes = 60
        await notify.ring(some)
        await until(lambda: in_flight(some))
    assert provider.at_once == 0
    left = await Payment.select(Payment.state, Payment.tries).where(Payment.id.is_in(some))
    assert left == [{"state": "sent", "tries": 1}]
    assert await Job.exists().where(Job.subject.is_in(some))


async def test_no_fault_at_all_ends_the_sweep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.001)
    done = asyncio.Event()

    class Desk:
        times = 0

        async def sweep(self) -> bool:
            self.times += 1
            if self.times < 3:
                raise RuntimeError("a bug")
            done.set()
            return False

    desk: Any = Desk()
    async with (
        asyncio.timeout(PATIENCE),
        background.running("sweep", lambda: sweep.run(desk.sweep, 0.001)),
    ):
        await done.wait()
    # The same fault is logged once a minute.
    assert caplog.text.count("RuntimeError: a bug") == 1


@contextmanager
def nobody() -> Iterator[int]:
    """A port on which nothing listens."""
    yield servers.free_port()


@contextmanager
def silence() -> Iterator[int]:
    """A port with a listener that never answers."""
    with socket.create_server(("127.0.0.1", servers.free_port())) as listening:
        yield listening.getsockname()[1]


async def no_warnings() -> bool:
    return await notify.warnings() == []


@pytest.mark.parametrize("redis", [nobody, silence])
async def test_a_redis_that_is_away_is_told_once_and_then_left_alone_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    redis: Callable[[], AbstractContextManager[int]],
) -> None:
    monkeypatch.setattr(logs, "QUIET_SECONDS", 0)
    monkeypatch.setattr(broker, "RING_TIMEOUT", 0.2)
    monkeypatch.setattr(notify, "RING_TIMEOUT", 0.2)
    with redis() as port:
        bell = use(monkeypatch, redis=port)
        asked, kick = [], bell.kick

        async def counted(message: Any) -> None:
            asked.append(message)
            await kick(message)

        monkeypatch.setattr(bell, "kick", counted)
        for _ in range(5):
            await notify.ring([1])
        assert len(asked) == 1
        (warning,) = await notify.warnings()
        assert warning.startswith("Redis is away (")
        assert warning.endswith("); payments go on by sweeping.")
        bell.away_since -= broker.REST
        await notify.ring([1])
        assert len(asked) == 2
    assert caplog.text.count("Redis is away") == 1
    with servers.redis(tmp_path / "redis", port):
        bell.away_since -= broker.REST
        await notify.ring([1])
        await until(no_warnings)
        assert caplog.text.count("Redis is back") == 1
        await bell.shutdown()


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Server]:
    with servers.redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


def message(name: str, arguments: str) -> bytes:
    about = f'"task_id":"1","task_name":"{name}","labels":{{}}'
    return f'{{{about},"args":{arguments},"kwargs":{{}}}}'.encode()


STRANGE: list[dict[str, str | bytes]] = [
    {"foreign": "entry"},
    {"data": ""},
    {"data": b"\xff\x00"},
    {"data": "[" * 100_000},
    {"data": message("payments.unknown", "[]")},
    {"data": message("payments.charge", "[]")},
    {"data": message("payments.charge", '[["one"]]')},
    {"data": message("payments.charge", "[[1e400]]")},
    {"data": message("payments.charge", f"[[{2**63}]]")},
]


async def test_strange_entries_in_the_stream_do_not_stop_the_bell_and_nothing_of_ours_is_left(
    monkeypatch: pytest.MonkeyPatch, redis: servers.Server, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, redis=redis.port, redis_prefix="shop-a", sweep=NO_SWEEP)
    async with Redis.from_url(redis.url) as client:
        async with broker.running(), worker.working(3):
            for entry in STRANGE:
                await client.xadd("shop-a:payments", entry)
                some = await placed(customer, flavor, 1)
                await notify.ring(some)
                await settled(some)
            assert len(await client.xinfo_consumers("shop-a:payments", "workers")) == 1
        assert await client.xinfo_consumers("shop-a:payments", "workers") == []
        assert await client.keys() == [b"shop-a:payments"]
        (group,) = await client.xinfo_groups("shop-a:payments")
        assert group["pending"] == 0


async def test_a_stream_that_was_emptied_is_made_again_but_not_without_end(
    monkeypatch: pytest.MonkeyPatch, redis: servers.Server
) -> None:
    bell = use(monkeypatch, redis=redis.port, redis_prefix="shop-b")
    gone = ResponseError("NOGROUP No such key or consumer group")
    async with Redis.from_url(redis.url) as client:
        await client.config_set("maxmemory", 1)
        # A full Redis refuses. The listener has to pause, as it does while Redis is unavailable.
        assert not await bell._has_group_again(gone)
        await client.config_set("maxmemory", 0)
        assert await bell._has_group_again(gone)
        # Another worker created the group first.
        assert await bell._has_group_again(gone)
        assert not await bell._has_group_again(ResponseError("WRONGTYPE"))
    await bell.shutdown()


async def test_without_a_bell_nothing_is_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    bell = use(
        monkeypatch,
        database_url="postgresql://is/open",
        secret_key=os.environ["ICECREAM_SECRET_KEY"],
    )
    await notify.ring([1])
    assert bell.queue.empty()
    assert await notify.warnings() == []


KINDS = {
    "sweep of payments": (Executor, "sweep"),
    "sweep of notices": (webhook_inbox.WebhookInbox, "sweep"),
    "prune of keys": (keys, "prune_keys"),
    "prune of notices": (webhook_inbox, "prune_events"),
    "reconciliation": (reconciliation, "reconcile_if_due"),
    "bell": (Receiver, "listen"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_a_task_that_fails_is_named_by_readiness_and_comes_back(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    client: httpx.AsyncClient,
    caplog: pytest.LogCaptureFixture,
) -> None:
    use(monkeypatch, sweep="0.05")
    owner, attribute = KINDS[name]
    real, again = getattr(owner, attribute), asyncio.Event()
    faults = [RuntimeError("a bug")]

    async def fails_once(*args: Any) -> Any:
        if faults:
            raise faults.pop()
        again.set()
        return await real(*args)

    monkeypatch.setattr(owner, attribute, fails_once)
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 600)
    async with broker.running(), worker.working(3):
        await until(lambda: asyncio.sleep(0, bool(background.warnings())))
        ready = (await client.get("/health/ready")).json()
        assert ready["warnings"] == [f"The {name} failed and will be started again."]
    assert caplog.text.count("RuntimeError: a bug") == 1
    assert background.warnings() == []
    faults.append(RuntimeError("a bug"))
    monkeypatch.setattr(background, "FIRST_PAUSE_SECONDS", 0.01)
    async with broker.running(), worker.working(3):
        async with asyncio.timeout(PATIENCE):
            await again.wait()


async def test_a_bell_that_ends_by_itself_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(self: Receiver, stop: asyncio.Event) -> None:
        """End at once, as if no message could arrive."""

    use(monkeypatch)
    monkeypatch.setattr(Receiver, "listen", listen)
    async with broker.running(), worker.working(3):
        await until(lambda: asyncio.sleep(0, "bell" in background._down))
        assert background.warnings() == ["The bell failed and will be started again."]
