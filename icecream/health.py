"""Whether this process lives, and whether it can serve."""

from litestar import Controller, Response, get
from litestar.datastructures import State
from msgspec import Struct

from icecream import database, installation
from icecream.tables import User


class Health(Struct):
    """`ok`, or what is wrong; `warnings` are no reason to send the traffic elsewhere."""

    status: str
    warnings: list[str] = []


class HealthChecks(Controller):
    """For load balancers and orchestrators, and so no part of the API's document."""

    path = "/health"
    include_in_schema = False
    opt = {"exclude_from_auth": True, "uncounted": True}

    @get("/live")
    async def live(self) -> Health:
        """Always `ok` when there is an answer at all."""
        return Health("ok")

    @get("/ready")
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
