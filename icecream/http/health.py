"""Health checks: whether this process is alive, and whether it can serve."""

import asyncio
import time

from litestar import Controller, Response, get
from litestar.datastructures import State
from msgspec import Struct

from icecream import bootstrap, database
from icecream.database import batching
from icecream.runtime import background

TEST_WRITE_TIMEOUT_SECONDS = 2.0
# Any client may request the check, so the number of writes must not depend on the number of
# requests.
MIN_TEST_WRITE_INTERVAL_SECONDS = 1.0


class Health(Struct):
    """`ok` or the problem; a process with `warnings` can still serve."""

    status: str
    warnings: list[str] = []


class Readiness:
    """Whether the database accepts writes, checked once for all concurrent callers."""

    def __init__(self) -> None:
        self._checking = asyncio.Lock()
        self._status = ""
        self._checked_at = -MIN_TEST_WRITE_INTERVAL_SECONDS

    async def status(self) -> str:
        """Return `ok`, or the problem."""
        async with self._checking:
            if time.monotonic() - self._checked_at >= MIN_TEST_WRITE_INTERVAL_SECONDS:
                self._status = await _check_database()
                self._checked_at = time.monotonic()
        return self._status


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
    opt = {"exclude_from_auth": True, "any_query": True}

    # It costs nothing, and a refusal would let an orchestrator restart the process.
    @get("/live", exclude_from_rate_limit=True)
    async def live(self) -> Health:
        """Always `ok`: the process answers."""
        return Health("ok")

    @get("/ready")
    async def ready(self, state: State) -> Response[Health]:
        """200 if the database accepts writes and has all migrations; 503 if not, or if we hang."""
        messages = batching.stuck_batches()
        status = messages[0] if messages else await state.readiness.status()
        if status != "ok":
            return Response(Health(status), status_code=503)
        warnings = [*database.DB.warnings(), *background.restart_warnings()]
        return Response(Health("ok", [*(await state.redis_warnings()), *warnings]))
