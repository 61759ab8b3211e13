"""Whether this process lives, and whether it can serve."""

from litestar import Controller, Response, get
from litestar.datastructures import State
from msgspec import Struct

from icecream import database, errors, installation, openapi
from icecream.tables import User


class Health(Struct):
    """`ok`, or what is wrong; `warnings` are no reason to send the traffic elsewhere."""

    status: str
    warnings: list[str] = []


FINE = {"status": "ok", "warnings": []}
NOT_READY = openapi.answers(503, Health, FINE | {"status": "the database does not answer"})


class HealthChecks(Controller):
    """For load balancers and orchestrators."""

    path = "/health"
    tags = ["Health"]
    opt = {"exclude_from_auth": True, "uncounted": True}

    @get(
        "/live",
        operation_class=openapi.ApiOperation,
        operation_id="checkLive",
        summary="Does the process live?",
        responses=openapi.answers(200, Health, FINE, errors.InternalError()),
        security=[{}],
    )
    async def live(self) -> Health:
        """Always `ok` when there is an answer at all."""
        return Health("ok")

    @get(
        "/ready",
        operation_class=openapi.ApiOperation,
        operation_id="checkReady",
        summary="Can it serve?",
        responses=openapi.answers(200, Health, FINE, errors.InternalError()) | NOT_READY,
        security=[{}],
    )
    async def ready(self, state: State) -> Response[Health]:
        """200 when the database answers and has all migrations, else 503."""
        try:
            lacking = await installation.pending()
            await User.exists()
        except database.AWAY:
            return Response(Health("the database does not answer"), status_code=503)
        if lacking:
            return Response(Health("the database lacks migrations"), status_code=503)
        return Response(Health("ok", state.warnings()))
