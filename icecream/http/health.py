"""Health checks: whether this process is alive, and whether it can serve."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from litestar import Controller, Response, get
from litestar.datastructures import State
from msgspec import Struct

from icecream import bootstrap, database
from icecream.database import batching
from icecream.runtime import background

TEST_WRITE_TIMEOUT_SECONDS = 2.0
# Any client may request the check, as often as it likes, so its cost must not depend on the number
# of requests.
MIN_CHECK_INTERVAL_SECONDS = 1.0


class Health(Struct):
    """`ok` or the problem; a process with `warnings` can still serve."""

    status: str
    warnings: list[str] = []


class Readiness:
    """Whether the database accepts writes and Redis answers, checked once for all callers."""

    # Set when the client of Redis was imported, just after the start.
    redis_warnings: Callable[[], Awaitable[list[str]]] | None = None

    def __init__(self) -> None:
        self._checking = asyncio.Lock()
        self._health = Health("")
        self._checked_at = -MIN_CHECK_INTERVAL_SECONDS

    async def check(self) -> Health:
        """Return the current health; a result is used for a second."""
        async with self._checking:
            if time.monotonic() - self._checked_at >= MIN_CHECK_INTERVAL_SECONDS:
                self._health = await self._find_out()
                self._checked_at = time.monotonic()
        return self._health

    async def _find_out(self) -> Health:
        status = await _check_database()
        if status != "ok" or self.redis_warnings is None:
            return Health(status)
        return Health(status, await self.redis_warnings())


async def _check_database() -> str:
    try:
        async with asyncio.timeout(TEST_WRITE_TIMEOUT_SECONDS):
            if await bootstrap.pending_migrations():
                return "the database has pending migrations"
            await database.check_writable()
    except database.DatabaseReadOnly:
        return "the database is read-only"
    except TimeoutError:
        return "the database takes too long to write"
    except database.DATABASE_UNAVAILABLE:
        return "the database does not answer"
    return "ok"


class HealthChecks(Controller):
    """Endpoints for load balancers and orchestrators; not part of the API document."""

    path = "/health"
    include_in_schema = False
    # After a refusal, a load balancer would send no more requests, and an orchestrator would
    # restart the process.
    opt = {"exclude_from_auth": True, "any_query": True, "exclude_from_rate_limit": True}

    @get("/live")
    async def live(self) -> Health:
        """Always `ok`: the process answers."""
        return Health("ok")

    @get("/ready")
    async def ready(self, state: State) -> Response[Health]:
        """200 if the database accepts writes and has all migrations; 503 if not, or if we hang."""
        messages = batching.stuck_batches()
        health = Health(messages[0]) if messages else await state.readiness.check()
        if health.status != "ok":
            return Response(health, status_code=503)
        warnings = [*database.DB.warnings(), *background.restart_warnings()]
        return Response(Health("ok", [*health.warnings, *warnings]))
