"""`/metrics` for Prometheus (HTTP): counters, and gauges of the current state."""

import asyncio
import hmac
import platform
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

import uvicorn
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from icecream import __version__, database, errors, settings
from icecream.http import methods, request_limits
from icecream.runtime import instrumentation
from icecream.tables import JOB_QUEUE_START, Job

T = TypeVar("T")
# The format's name; Litestar adds the charset.
CONTENT_TYPE = "text/plain; version=0.0.4"
# A page is cached for this time: it takes some milliseconds to write, and any client may request it
# at any rate.
CACHE_SECONDS = 1.0
# A scrape waits this long for a query; Prometheus waits ten seconds for the scrape.
QUERY_TIMEOUT_SECONDS = 2.0
# A query that still hangs after this time is repeated on another connection.
HUNG_QUERY_SECONDS = 60.0
# Counting stops at this number: without a limit, a large backlog would make the query slow.
MAX_COUNTED_JOBS = 100_000
# Headers that proxies add to a request; a client can add them too, but cannot remove them.
PROXY_HEADERS = ("forwarded", "via", "x-forwarded-for")
DATABASE_UP_HELP = (
    "Whether the database answers; without an answer, the metrics from the database are missing."
)
REDIS_AWAY_HELP = "Whether writing or reading notifications in Redis fails; missing without Redis."
GAUGE_HELP = {
    "oldest_due_job_age_seconds": "Age of the oldest due job.",
    "jobs_due": f"Due jobs that no worker has leased, counted up to {MAX_COUNTED_JOBS}.",
    "jobs_in_flight": "Payments in processing at the provider.",
    "payments_parked": "Payments that need review.",
    "webhook_deliveries_due": "Due messages to webhook endpoints that are not disabled, "
    f"counted up to {MAX_COUNTED_JOBS}.",
}
# Payments that were sent within the last lease are in flight. (A payment that the provider
# postponed for less than a lease looks the same.)
_COUNTS_SQL = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT 1 FROM job WHERE run_at >= {{}} AND run_at <= {{}}
            LIMIT {MAX_COUNTED_JOBS}) a) AS jobs_due,
        (SELECT count(*) FROM job j JOIN payment p ON p.id = j.subject AND p.kind = j.kind
            WHERE j.run_at > {{}} AND j.run_at <= {{}} AND p.state = 'sent') AS jobs_in_flight,
        (SELECT count(*) FROM payment WHERE state = 'parked') AS payments_parked,
        (SELECT count(*) FROM (SELECT 1 FROM webhook_delivery d
            JOIN webhook_endpoint e ON e.id = d.endpoint AND e.disabled_at IS NULL
            WHERE d.due_at <= {{}} LIMIT {MAX_COUNTED_JOBS}) b) AS webhook_deliveries_due"""


async def _read_gauges() -> dict[str, float] | None:
    """Return the gauges from the database; None if it does not answer."""
    try:
        now = await database.now()
        leased = now + timedelta(seconds=settings.load().lease)
        start = await JOB_QUEUE_START.read() or datetime.min.replace(tzinfo=UTC)
        due = Job.select(Job.run_at).where(Job.run_at >= start, Job.run_at <= now)
        oldest = await due.order_by(Job.run_at).first()
        (counts,) = await Job.raw(_COUNTS_SQL, start, now, now, leased, now)
    except database.DATABASE_UNAVAILABLE:
        return None
    age = (now - oldest["run_at"]).total_seconds() if oldest else 0.0
    return {"oldest_due_job_age_seconds": age, **counts}


class SharedQuery(Generic[T]):
    """A query that runs once at a time for all callers, with a limit on the waiting time.

    A query that hangs is not canceled, because the cancellation may hang too.
    """

    def __init__(self, query: Callable[[], Awaitable[T]]) -> None:
        self._query = query
        self._task: asyncio.Future[T] | None = None
        self._started_at = 0.0

    async def result(self) -> T | None:
        """Return the result; None if there is none in time."""
        now = time.monotonic()
        is_hung = now - self._started_at > HUNG_QUERY_SECONDS
        if self._task is None or self._task.done() or is_hung:
            self._task, self._started_at = asyncio.ensure_future(self._query()), now
        done, _ = await asyncio.wait({self._task}, timeout=QUERY_TIMEOUT_SECONDS)
        return self._task.result() if done else None


class _FixedMetrics(Collector):
    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


class MetricsPage:
    """The cached metrics page.

    Args:
        redis_is_unavailable: checks Redis; returns None if no Redis is in use.
    """

    def __init__(self, redis_is_unavailable: Callable[[], Awaitable[bool | None]]) -> None:
        self._gauges = SharedQuery(_read_gauges)
        self._redis = SharedQuery(redis_is_unavailable)
        self._writing = asyncio.Lock()
        self._text = b""
        self._written_at = -CACHE_SECONDS

    async def text(self) -> bytes:
        """Return the page in Prometheus' text format."""
        async with self._writing:
            if time.monotonic() - self._written_at >= CACHE_SECONDS:
                self._text = await self._write()
                self._written_at = time.monotonic()
            return self._text

    async def _write(self) -> bytes:
        gauges, unavailable = await asyncio.gather(self._gauges.result(), self._redis.result())
        return generate_latest(
            _FixedMetrics([*instrumentation.collect_metrics(), *_build_gauges(gauges, unavailable)])
        )


def _build_gauges(
    gauges: dict[str, float] | None, redis_is_unavailable: bool | None
) -> Iterator[Metric]:
    build = {"version": __version__, "python": platform.python_version()}
    yield InfoMetricFamily("icecream_build", "The running version.", build)
    yield GaugeMetricFamily("icecream_database_up", DATABASE_UP_HELP, gauges is not None)
    if redis_is_unavailable is not None:
        yield GaugeMetricFamily("icecream_redis_away", REDIS_AWAY_HELP, redis_is_unavailable)
    for name, value in (gauges or {}).items():
        yield GaugeMetricFamily(f"icecream_{name}", GAUGE_HELP[name], value)


# Not counted by the rate limit, and not part of the API document.
@get(
    "/metrics",
    include_in_schema=False,
    exclude_from_auth=True,
    exclude_from_rate_limit=True,
    any_query=True,
)
async def get_metrics(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    """The metrics page of a server, whose port is public: only with its own token."""
    token = settings.load().metrics_token
    if token is None:
        raise NotFoundException
    sent = request.headers.get("authorization", "").encode("latin-1")
    if not hmac.compare_digest(sent, f"Bearer {token}".encode("latin-1", "replace")):
        raise errors.Unauthenticated("Send the token in ICECREAM_METRICS_TOKEN as a Bearer token.")
    return Response(await state.metrics.text(), media_type=CONTENT_TYPE)


@get("/metrics")
async def get_metrics_at_own_port(request: Request[Any, Any, Any], state: State) -> Response[bytes]:
    """The metrics page at a port of its own, only for direct requests."""
    if any(name in request.headers for name in PROXY_HEADERS):
        raise NotFoundException
    return Response(await state.metrics.text(), media_type=CONTENT_TYPE)


class _MetricsServer(uvicorn.Server):
    """A server without signal handlers: the main program of the process handles the signals."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator there
        return nullcontext()


@asynccontextmanager
async def serve_metrics(listener: socket.socket, page: MetricsPage) -> AsyncIterator[None]:
    """Serve the page in a process that serves nothing else."""
    app = Litestar(
        [get_metrics_at_own_port],
        state=State({"metrics": page}),
        openapi_config=None,
        logging_config=None,
    )
    config = uvicorn.Config(
        methods.HeadAndOptions(app),
        # Its __call__ is a plain function that returns a coroutine; uvicorn would guess ASGI 2.
        interface="asgi3",
        lifespan="off",
        http=request_limits.LimitedConnection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    server = _MetricsServer(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task
