"""Health checks: whether this process is alive, and whether it can serve."""

import asyncio
import time

from litestar import Controller, Response, get
from litestar.datastructures import State
from msgspec import Struct

from icecream import bootstrap, database
from icecream.database import batching
from icecream.runtime import background

# The time limit for a test write, and the minimum time between two of them. Any client may request
# them, so their number must not depend on the number of requests.
WRITE_SECONDS, WRITE_EVERY_SECONDS = 2.0, 1.0


class Health(Struct):
    """`ok`, or what is wrong; `warnings` are no reason to send the traffic elsewhere."""

    status: str
    warnings: list[str] = []


class Readiness:
    """Whether the database accepts writes, checked once for all concurrent callers."""

    def __init__(self) -> None:
        self._looking = asyncio.Lock()
        self._status, self._looked_at = "", -WRITE_EVERY_SECONDS

    async def status(self) -> str:
        """Return `ok`, or the problem."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= WRITE_EVERY_SECONDS:
                self._status = await _look()
                self._looked_at = time.monotonic()
        return self._status


async def _look() -> str:
    try:
        async with asyncio.timeout(WRITE_SECONDS):
            if await bootstrap.pending():
                return "the database lacks migrations"
            await database.write()
    except database.ReadOnly:
        return "the database is read-only"
    except TimeoutError:
        return "the database takes too long to write"
    except database.AWAY:
        return "the database does not answer"
    return "ok"


class HealthChecks(Controller):
    """Endpoints for load balancers and orchestrators; not part of the API document."""

    path = "/health"
    include_in_schema = False
    opt = {"exclude_from_auth": True, "uncounted": True, "any_query": True}

    @get("/live")
    async def live(self) -> Health:
        """Always `ok` when there is an answer at all."""
        return Health("ok")

    @get("/ready")
    async def ready(self, state: State) -> Response[Health]:
        """200 when the database has all migrations and takes writes, and we write; else 503."""
        stuck = batching.stuck()
        status = stuck[0] if stuck else await state.readiness.status()
        if status != "ok":
            return Response(Health(status), status_code=503)
        more = [*database.DB.warnings(), *background.warnings()]
        return Response(Health("ok", [*(await state.warnings()), *more]))
