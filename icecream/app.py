"""The assembly of the application; imported only by the server, the command and the tests."""

import asyncio
import gc
import logging
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.types import ASGIApp, Receive, Scope, Send

from icecream import (
    accounts,
    admin,
    bodies,
    cors,
    counters,
    dashboard,
    database,
    edge,
    errors,
    feed,
    flavors,
    gateway,
    health,
    intake,
    live,
    logs,
    methods,
    metrics,
    openapi,
    operators,
    orders,
    pages,
    queries,
    quotas,
    settings,
    stats,
    stopping,
    waiting,
    wallet,
    webhooks,
)
from tasks import broker, payments
from tasks.publishing import publishing
from tasks.worker import working

log = logging.getLogger(__name__)
# The largest valid body is an order of 100 lines, some kilobytes.
LARGEST_BODY = 256_000
# Seconds from the end of serving to the end of the process, even if something hangs.
STOP_SECONDS = 7
# Path parameters that are added to log lines.
IDS = {"order", "payment"}
# Litestar's own refusals, translated into ours.
BY_STATUS: dict[int, type[errors.Refusal]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.QuotaExceeded,
}


def _refusal(request: Request[Any, Any, Any], error: Exception) -> errors.Refusal:
    if isinstance(error, errors.Refusal):
        return error
    if isinstance(error, ValidationException):
        return _invalid(request, error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        kind = BY_STATUS.get(error.status_code)
        refusal = kind() if kind else errors.ValidationFailed("", "invalid", error.detail)
        refusal.headers |= dict(error.headers or {})
        if allowed := refusal.headers.get("allow"):
            refusal.headers["allow"] = methods.allow(allowed.split(", "))
        return refusal
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        log.info("Somebody hung up in the middle of a request.")
        return errors.ValidationFailed("", "malformed", "The body ended too soon.")
    if isinstance(error, database.AWAY):
        logs.DATABASE.failed(error)
        return errors.Unavailable()
    logs.fault(log, "Unhandled", error, every=True)
    return errors.InternalError()


def _invalid(request: Request[Any, Any, Any], error: ValidationException) -> errors.Refusal:
    """Return the refusal for an invalid query or path parameter, or for a missing body."""
    for one in error.extra if isinstance(error.extra, list) else []:
        if (name := one.get("key")) and name != "data":
            return queries.unfit(request.route_handler, name)
    return errors.ValidationFailed("", "missing", "A body is required.")


def problem(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Return the problem document (RFC 9457) for any error."""
    parameters = request.scope.get("path_params", {})
    logs.about(**{name: parameters[name] for name in IDS & parameters.keys()})
    refusal = _refusal(request, error)
    content = refusal.document(
        address=settings.load().address,
        instance=edge.public_path(request.scope),
        request_id=logs.request_id.get(),
    )
    return Response(
        content,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/problem+json",
    )


def _end_with_parent() -> None:
    """End this process with the first server process, so that it does not keep the port."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        return
    sentinel = parent.sentinel

    def ended() -> None:
        loop.remove_reader(sentinel)
        counters.forget()
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(sentinel, ended)


def _at_the_signal(stop: Callable[[], None]) -> None:
    """Call `stop` as soon as the server receives a stop signal.

    uvicorn notifies the application only after all streams have ended.
    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, partial(_told, loop, stop, before))


def _told(
    loop: asyncio.AbstractEventLoop,
    stop: Callable[[], None],
    before: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    loop.call_soon_threadsafe(stop)
    before(number, frame)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Keep the database, the broker and the feed open, and with SQLite the worker too."""
    _end_with_parent()
    _at_the_signal(app.state.reader.close)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database.running("serve"))
        await stack.enter_async_context(broker.running())
        stack.push_async_callback(app.state.gateway.close)
        if settings.load().embedded:
            await stack.enter_async_context(working())
        await stack.enter_async_context(publishing())
        # These objects live as long as the process. If the garbage collector scanned them again and
        # again, all requests would stop for a tenth of a second each time.
        gc.collect()
        gc.freeze()
        yield
        app.state.reader.close()
        end = stopping.force_after(STOP_SECONDS)
        await app.state.intake.close()
    # Nothing hung; a process that embeds the application continues.
    end.cancel()


def create() -> Callable[[Scope, Receive, Send], Any]:
    """Return the complete ASGI application."""
    current = settings.load()
    app: ASGIApp = methods.Methods(litestar())
    if current.cors_origins:
        app = cors.across_origins(app, current.cors_origins)
    return edge.Edge(app, https=current.address.startswith("https:"), prefix=current.prefix)


def litestar() -> Litestar:
    """Return the Litestar application without its wrappers."""
    current = settings.load()
    reader = feed.Reader()
    return Litestar(
        route_handlers=[
            accounts.Accounts,
            flavors.Flavors,
            orders.Orders,
            orders.Changes,
            operators.Operators,
            wallet.Wallet,
            live.Events,
            stats.Stats,
            webhooks.hear,
            health.HealthChecks,
            metrics.read,
            admin.mount(payments.ring),
            dashboard.router,
            pages.router,
        ],
        on_app_init=[accounts.auth.on_app_init],
        before_request=queries.only_declared,
        middleware=[quotas.Quota],
        request_class=bodies.AnyBody,
        request_max_body_size=LARGEST_BODY,
        exception_handlers={Exception: problem},
        lifespan=[lifespan],
        state=State(
            {
                "gateway": gateway.chosen(current),
                "intake": intake.Intake(payments.ring),
                "metrics": metrics.Page(payments.redis_is_away),
                "open_pages": dashboard.live.OpenPages(reader),
                "readiness": health.Readiness(),
                "ring": payments.ring,
                "reader": reader,
                "streams": live.Streams(reader),
                "waiting": waiting.Waiting(reader),
                "warnings": payments.warnings,
            }
        ),
        openapi_config=openapi.config(pages.SWAGGER, pages.REDOC, csp=pages.CSP),
        logging_config=None,
    )
