"""Our server with two additional calls without work: they show the cost of HTTP, token and JSON."""

from typing import Any

from litestar import get, post
from litestar.params import JSONBody
from litestar.types import ASGIApp

from icecream import app, cli
from icecream.http import bodies, middleware
from icecream.orders.http import requests, responses


@post("/ceiling", status_code=200)
async def decode(data: JSONBody[requests.NewOrder]) -> ASGIApp:
    """Decode an order, and respond as if it was placed."""
    quantities = (await data.read_lines()).quantities
    return bodies.JsonResponse(responses.OrderPlaced("Order placed", sum(quantities)))


@get("/ceiling")
async def answer() -> ASGIApp:
    """Respond."""
    return bodies.JsonResponse({"status": "ok"})


def create() -> Any:
    """Return the application with the two additional calls."""
    application = app.litestar()
    application.register(decode)
    application.register(answer)
    return middleware.OuterMiddleware(application, https=False)


if __name__ == "__main__":
    app.create = create
    cli.main(["serve"])
