"""Our server with two more calls, which do nothing: they show the cost of HTTP, token and JSON."""

from typing import Any

from litestar import get, post
from litestar.params import JSONBody
from litestar.types import ASGIApp

from icecream import app, cli
from icecream.http import bodies, middleware
from icecream.orders.http import requests, responses


@post("/ceiling", status_code=200)
async def decode(data: JSONBody[requests.NewOrder]) -> ASGIApp:
    """Decode an order and answer as if it was placed."""
    return bodies.Json(responses.OrderPlaced("Order placed", sum(data.quantities)))


@get("/ceiling")
async def answer() -> ASGIApp:
    """Answer."""
    return bodies.Json({"status": "ok"})


def create() -> Any:
    """Return the application with these two calls."""
    application = app.litestar()
    application.register(decode)
    application.register(answer)
    return middleware.Edge(application, https=False)


if __name__ == "__main__":
    app.create = create
    cli.main(["serve"])
