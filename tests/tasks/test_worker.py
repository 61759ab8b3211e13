"""Test how much a worker does at once, and how it handles lost, odd or late notifications."""

import asyncio
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
from tasks import broker, notify, periodic, worker
from tests import ledger, servers
from tests.conftest import Caller, Provider, place, records_of, success_of, until
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
    monkeypatch.setattr(providers, "create_provider", lambda _: provider)
    return provider


def use(monkeypatch: pytest.MonkeyPatch, *, redis: int | None = None, **chosen: str) -> Any:
    """Use a broker for one test, in memory or on a port of Redis, with settings that fit."""
    if redis is not None:
        chosen |= {
            "redis_url": f"redis://127.0.0.1:{redis}/0",
            "database_url": "postgresql://is/open",
            "secret_key": os.environ["ICECREAM_SECRET_KEY"],
        }
    read = settings.parse_settings(
        {f"ICECREAM_{name.upper()}": value for name, value in chosen.items()}
    )
    monkeypatch.setattr(settings, "load", lambda: read)
    notifier = broker._create_broker()
    for module in (broker, notify, worker):
        monkeypatch.setattr(module, "broker", notifier)
    monkeypatch.setattr(
        notify,
        "carry_out_payments",
        notifier.task("payments.charge")(notify.carry_out_payments.original_func),
    )
    return notifier


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


async def test_an_error_of_a_notification_is_only_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sent = list[Any]()

    async def kiq(*message: Any) -> None:
        sent.append(message)
        raise ZeroDivisionError("a bug after the commit")

    monkeypatch.setattr(notify, "can_notify", lambda: True)
    monkeypatch.setattr(notify.carry_out_payments, "kiq", kiq)
    await notify.notify_workers([])
    assert sent == []
    await notify.notify_workers([1], [2])
    assert sent == [([1], [2])]
    assert caplog.text.count("ZeroDivisionError: a bug after the commit") == 1


async def test_the_number_of_payments_in_flight_is_limited(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep="0.05")
    some = await placed(customer, flavor, 30)
    async with broker.open_broker(), worker.run_worker(3):
        for one in some:
            await notify.notify_workers([one])
        await notify.notify_workers(some)
        await settled(some)
    assert provider.most_at_once == 3
    await ledger.check()


async def test_a_webhook_event_is_applied_by_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
    provider: Provider,
    no_webhook_events: None,
    customer: Caller,
    flavor: int,
) -> None:
    use(monkeypatch, sweep="0.05")
    monkeypatch.setattr(webhook_inbox, "LOOKUP_DELAY", timedelta())
    provider.answers = [OutcomeUnknown()]
    (one,) = await placed(customer, flavor, 1)
    async with broker.open_broker(), worker.run_worker(3):
        await until(lambda: unknown(one))
        (asked,) = provider.asked
        provider.found = success_of(asked, f"found for {one}")
        await webhook_inbox.store_event(
            "simulated", providers.WebhookEvent("evt_1", asked.key, "pi_1")
        )
        await settled([one])
    assert provider.looked_up == [(asked, "pi_1")]
    assert len(provider.asked) == 1
    await ledger.check()


async def unknown(payment: int) -> bool:
    return await Payment.exists().where(Payment.id == payment, Payment.state == "unknown")


async def test_a_full_queue_loses_notifications_but_no_payments(
    monkeypatch: pytest.MonkeyPatch, customer: Caller, flavor: int
) -> None:
    monkeypatch.setattr(broker, "MAX_QUEUED_MESSAGES", 2)
    notifier = use(monkeypatch, sweep="0.05")
    some = await placed(customer, flavor, 10)
    for one in some:
        await notify.notify_workers([one])
    assert notifier.queue.qsize() == 2
    async with broker.open_broker(), worker.run_worker(3):
        await settled(some)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (database.DatabaseUnavailable("gone"), "The database is unavailable (gone)."),
        (KeyError("bug"), "Carrying out payments after a notification failed: KeyError('bug')"),
    ],
)
async def test_failing_notifications_are_logged_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, line: str
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    monkeypatch.setattr(logs, "DATABASE_OUTAGE", logs.Outage(notify.log, "The database"))
    monkeypatch.setattr(logs, "_written", {})
    received: list[int] = []

    async def execute(self: Executor, ids: list[int], customers: list[int]) -> None:
        received.extend(ids)
        raise error

    monkeypatch.setattr(Executor, "execute", execute)
    async with broker.open_broker(), worker.run_worker(3):
        for one in range(5):
            await notify.notify_workers([one])
        await until(lambda: asyncio.sleep(0, len(received) == 5))
    warnings = records_of(caplog, notify.log)
    assert [one.getMessage() for one in warnings] == [line]
    assert bool(warnings[0].exc_info) == isinstance(error, KeyError)


async def test_a_stopping_worker_finishes_payments_in_flight(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    provider.takes = 0.2
    async with broker.open_broker(), worker.run_worker(10):
        some = await placed(customer, flavor, 3)
        await notify.notify_workers(some)
        await until(lambda: in_flight(some))
    await settled(some)


async def test_a_stopping_worker_leaves_slow_payments_to_the_next_one(
    monkeypatch: pytest.MonkeyPatch, provider: Provider, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, sweep=NO_SWEEP)
    monkeypatch.setattr(worker, "SHUTDOWN_GRACE_SECONDS", 0.05)
    async with broker.open_broker(), worker.run_worker(10):
        some = await placed(customer, flavor, 1)
        provider.takes = 60
        await notify.notify_workers(some)
        await until(lambda: in_flight(some))
    assert provider.at_once == 0
    left = await Payment.select(Payment.state, Payment.tries).where(Payment.id.is_in(some))
    assert left == [{"state": "sent", "tries": 1}]
    assert await Job.exists().where(Job.subject.is_in(some))


async def test_no_error_ends_the_sweep(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0.001)
    done = asyncio.Event()

    class FailingExecutor:
        times = 0

        async def sweep(self) -> bool:
            self.times += 1
            if self.times < 3:
                raise RuntimeError("a bug")
            done.set()
            return False

    executor: Any = FailingExecutor()
    async with (
        asyncio.timeout(PATIENCE),
        background.keep_running("sweep", lambda: periodic.run_periodically(executor.sweep, 0.001)),
    ):
        await done.wait()
    # The same fault is logged once a minute.
    assert caplog.text.count("RuntimeError: a bug") == 1


@contextmanager
def refused_port() -> Iterator[int]:
    """A port on which nothing listens."""
    yield servers.free_port()


@contextmanager
def silent_port() -> Iterator[int]:
    """A port with a listener that never answers."""
    with socket.create_server(("127.0.0.1", servers.free_port())) as listening:
        yield listening.getsockname()[1]


async def no_warnings() -> bool:
    return await notify.redis_warnings() == []


@pytest.mark.parametrize("redis", [refused_port, silent_port])
async def test_an_unavailable_redis_is_logged_once_and_not_called_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    redis: Callable[[], AbstractContextManager[int]],
) -> None:
    monkeypatch.setattr(logs, "RECOVERY_SECONDS", 0)
    monkeypatch.setattr(broker, "NOTIFY_TIMEOUT_SECONDS", 0.2)
    monkeypatch.setattr(notify, "NOTIFY_TIMEOUT_SECONDS", 0.2)
    with redis() as port:
        notifier = use(monkeypatch, redis=port)
        asked, kick = [], notifier.kick

        async def counted(message: Any) -> None:
            asked.append(message)
            await kick(message)

        monkeypatch.setattr(notifier, "kick", counted)
        for _ in range(5):
            await notify.notify_workers([1])
        assert len(asked) == 1
        (warning,) = await notify.redis_warnings()
        assert warning.startswith("Redis is unavailable (")
        assert warning.endswith("); payments continue with the sweep.")
        notifier.unavailable_since -= broker.RETRY_DELAY_SECONDS
        await notify.notify_workers([1])
        assert len(asked) == 2
    assert caplog.text.count("Redis is unavailable") == 1
    with servers.redis(tmp_path / "redis", port):
        notifier.unavailable_since -= broker.RETRY_DELAY_SECONDS
        await notify.notify_workers([1])
        await until(no_warnings)
        assert caplog.text.count("Redis is available again") == 1
        await notifier.shutdown()


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


async def test_unknown_entries_in_the_stream_do_not_stop_the_listener(
    monkeypatch: pytest.MonkeyPatch, redis: servers.Server, customer: Caller, flavor: int
) -> None:
    use(monkeypatch, redis=redis.port, redis_prefix="shop-a", sweep=NO_SWEEP)
    async with Redis.from_url(redis.url) as client:
        async with broker.open_broker(), worker.run_worker(3):
            for entry in STRANGE:
                await client.xadd("shop-a:payments", entry)
                some = await placed(customer, flavor, 1)
                await notify.notify_workers(some)
                await settled(some)
            assert len(await client.xinfo_consumers("shop-a:payments", "workers")) == 1
        assert await client.xinfo_consumers("shop-a:payments", "workers") == []
        assert await client.keys() == [b"shop-a:payments"]
        (group,) = await client.xinfo_groups("shop-a:payments")
        assert group["pending"] == 0


async def test_an_emptied_stream_is_recreated_with_its_length_limit(
    monkeypatch: pytest.MonkeyPatch, redis: servers.Server
) -> None:
    notifier = use(monkeypatch, redis=redis.port, redis_prefix="shop-b")
    gone = ResponseError("NOGROUP No such key or consumer group")
    async with Redis.from_url(redis.url) as client:
        await client.config_set("maxmemory", 1)
        # A full Redis refuses. The listener has to pause, as it does while Redis is unavailable.
        assert not await notifier._recreate_group(gone)
        await client.config_set("maxmemory", 0)
        assert await notifier._recreate_group(gone)
        # Another worker created the group first.
        assert await notifier._recreate_group(gone)
        assert not await notifier._recreate_group(ResponseError("WRONGTYPE"))
    await notifier.shutdown()


async def test_without_redis_no_notification_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    notifier = use(
        monkeypatch,
        database_url="postgresql://is/open",
        secret_key=os.environ["ICECREAM_SECRET_KEY"],
    )
    await notify.notify_workers([1])
    assert notifier.queue.empty()
    assert await notify.redis_warnings() == []


KINDS = {
    "sweep of payments": (Executor, "sweep"),
    "sweep of the webhook inbox": (webhook_inbox.WebhookInbox, "sweep"),
    "prune of keys": (keys, "prune_keys"),
    "prune of the webhook inbox": (webhook_inbox, "prune_events"),
    "reconciliation": (reconciliation, "reconcile_if_due"),
    "notification listener": (Receiver, "listen"),
}


@pytest.mark.parametrize("name", KINDS)
async def test_a_failed_task_is_reported_by_readiness_and_restarted(
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
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 600)
    async with broker.open_broker(), worker.run_worker(3):
        await until(lambda: asyncio.sleep(0, bool(background.restart_warnings())))
        ready = (await client.get("/health/ready")).json()
        assert ready["warnings"] == [f"The {name} failed and will be restarted."]
    assert caplog.text.count("RuntimeError: a bug") == 1
    assert background.restart_warnings() == []
    faults.append(RuntimeError("a bug"))
    monkeypatch.setattr(background, "MIN_RESTART_DELAY_SECONDS", 0.01)
    async with broker.open_broker(), worker.run_worker(3):
        async with asyncio.timeout(PATIENCE):
            await again.wait()


async def test_an_unexpected_end_of_the_listener_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def listen(self: Receiver, stop: asyncio.Event) -> None:
        """End at once, as if no message could arrive."""

    use(monkeypatch)
    monkeypatch.setattr(Receiver, "listen", listen)
    async with broker.open_broker(), worker.run_worker(3):
        name = "notification listener"
        await until(lambda: asyncio.sleep(0, name in background._waiting_for_restart))
        assert background.restart_warnings() == [
            "The notification listener failed and will be restarted."
        ]
