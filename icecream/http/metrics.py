"""`/metrics` for Prometheus (HTTP): counters, and gauges of the current state."""

import asyncio
import platform
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import timedelta
from typing import Any, Generic, TypeVar

import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from icecream import __version__, database, settings
from icecream.http import connections, methods
from icecream.runtime import instrumentation
from icecream.tables import Job

T = TypeVar("T")
# The format's name; Litestar adds the charset.
TEXT = "text/plain; version=0.0.4"
# Seconds for which a page is cached: it takes some milliseconds to write, and any client may
# request it as often as it likes.
FRESH = 1.0
# Seconds that a scrape waits, less than the ten of Prometheus. Seconds after which a query that
# still hangs is repeated on another connection.
PATIENCE, GIVEN_UP = 2.0, 60.0
# Counting stops at this number: without a limit, a large backlog would make the query slow.
MOST = 100_000
# Headers that proxies add to a request; a client can add them too, but cannot remove them.
FORWARDED = ("forwarded", "via", "x-forwarded-for")
UP = "Whether the database answered just now; if not, what it knows is missing here."
AWAY = "Whether the bell could not be written to Redis and read just now; missing without Redis."
STANDING = {
    "oldest_due_job_age_seconds": "For how long the job has been due that is due for longest.",
    "jobs_due": f"Jobs that nobody has taken, counted up to {MOST}.",
    "jobs_in_flight": "Payments that the provider is being asked for.",
    "payments_parked": "Payments that wait for a person.",
}
# Payments that were sent within the last lease are in flight. (A payment that the provider
# postponed for less than a lease looks the same.)
_COUNTS = f"""
    SELECT
        (SELECT count(*) FROM (SELECT 1 FROM job WHERE run_at <= {{}} LIMIT {MOST}) a) AS jobs_due,
        (SELECT count(*) FROM job j JOIN payment p ON p.id = j.subject AND p.kind = j.kind
            WHERE j.run_at > {{}} AND j.run_at <= {{}} AND p.state = 'sent') AS jobs_in_flight,
        (SELECT count(*) FROM payment WHERE state = 'parked') AS payments_parked"""


async def _standing() -> dict[str, float] | None:
    """Return the gauges from the database; None if it does not answer."""
    try:
        now = await database.now()
        leased = now + timedelta(seconds=settings.load().lease)
        due = Job.select(Job.run_at).where(Job.run_at <= now)
        oldest = await due.order_by(Job.run_at).first()
        (counts,) = await Job.raw(_COUNTS, now, now, leased)
    except database.AWAY:
        return None
    age = (now - oldest["run_at"]).total_seconds() if oldest else 0.0
    return {"oldest_due_job_age_seconds": age, **counts}


class Question(Generic[T]):
    """A query that runs once at a time for all callers, with a limit on the waiting time.

    A query that hangs is not canceled, because the cancellation may hang too.
    """

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._task: asyncio.Future[T] | None = None
        self._asked = 0.0

    async def answer(self) -> T | None:
        """Return the answer; None if there is no answer in time."""
        now = time.monotonic()
        if self._task is None or self._task.done() or now - self._asked > GIVEN_UP:
            self._task, self._asked = asyncio.ensure_future(self._ask()), now
        done, _ = await asyncio.wait({self._task}, timeout=PATIENCE)
        return self._task.result() if done else None


class _Told(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class Page:
    """The cached metrics page.

    Args:
        redis_is_away: checks Redis; returns None if no Redis is in use.
    """

    def __init__(self, redis_is_away: Callable[[], Awaitable[bool | None]]) -> None:
        self._standing, self._redis = Question(_standing), Question(redis_is_away)
        self._writing = asyncio.Lock()
        self._text, self._written = b"", -FRESH

    async def text(self) -> bytes:
        """Return the page in Prometheus' text format."""
        async with self._writing:
            if time.monotonic() - self._written >= FRESH:
                self._text = await self._write()
                self._written = time.monotonic()
            return self._text

    async def _write(self) -> bytes:
        standing, away = await asyncio.gather(self._standing.answer(), self._redis.answer())
        return generate_latest(_Told([*instrumentation.collect(), *_gauges(standing, away)]))


def _gauges(standing: dict[str, float] | None, redis_is_away: bool | None) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily("icecream_build", "What is running.", build)
    yield GaugeMetricFamily("icecream_database_up", UP, standing is not None)
    if redis_is_away is not None:
        yield GaugeMetricFamily("icecream_redis_away", AWAY, redis_is_away)
    for name, value in (standing or {}).items():
        yield GaugeMetricFamily(f"icecream_{name}", STANDING[name], value)


# Not counted by the rate limit, and not part of the API document.
@get("/metrics", include_in_schema=False, exclude_from_auth=True, uncounted=True, any_query=True)
async def read(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    """The page, for whoever reaches this process itself: a proxy's clients are the whole world."""
    if any(name in request.headers for name in FORWARDED):
        raise NotFoundException
    return Response(await state.metrics.text(), media_type=TEXT)


class _Beside(uvicorn.Server):
    """A server without signal handlers: the main program of the process handles the signals."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator there
        return nullcontext()


@asynccontextmanager
async def serving(listener: socket.socket, page: Page) -> AsyncIterator[None]:
    """Serve the page in a process that serves nothing else."""
    app = Litestar([read], state=State({"metrics": page}), openapi_config=None, logging_config=None)
    config = uvicorn.Config(
        methods.Methods(app),
        # Its __call__ is a plain function that returns a coroutine; uvicorn would guess ASGI 2.
        interface="asgi3",
        lifespan="off",
        http=connections.Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _Beside(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
