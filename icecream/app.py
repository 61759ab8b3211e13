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

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send

from icecream import database, settings
from icecream.accounts.http import Accounts, auth
from icecream.admin import site
from icecream.catalogue.http import Flavors
from icecream.dashboard import http as dashboard_http
from icecream.dashboard.stream import OpenPages
from icecream.feed.http import Events, Streams
from icecream.feed.reader import Reader
from icecream.feed.waiting import Waiting
from icecream.http import (
    bodies,
    cors,
    health,
    methods,
    metrics,
    middleware,
    openapi,
    pages,
    problems,
    query_parameters,
    rate_limits,
)
from icecream.orders import placing
from icecream.orders.http.actions import OrderActions
from icecream.orders.http.orders import Orders
from icecream.payments import providers
from icecream.payments.http import webhooks
from icecream.payments.http.methods import PaymentMethods
from icecream.payments.http.payments import Payments
from icecream.reporting.http.stats import Stats
from icecream.runtime import instrumentation, shutdown
from tasks import broker, notify
from tasks.publishing import publishing
from tasks.worker import working

log = logging.getLogger(__name__)
# The largest valid body is an order of 100 lines, some kilobytes.
LARGEST_BODY = 256_000
# Seconds from the end of serving to the end of the process, even if something hangs.
STOP_SECONDS = 7


def _end_with_parent() -> None:
    """End this process with the first server process, so that it does not keep the port."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        return
    sentinel = parent.sentinel

    def ended() -> None:
        loop.remove_reader(sentinel)
        instrumentation.forget()
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
        end = shutdown.force_after(STOP_SECONDS)
        await app.state.order_placer.close()
    # Nothing hung; a process that embeds the application continues.
    end.cancel()


def create() -> Callable[[Scope, Receive, Send], Any]:
    """Return the complete ASGI application."""
    current = settings.load()
    app: ASGIApp = methods.Methods(litestar())
    if current.cors_origins:
        app = cors.across_origins(app, current.cors_origins)
    return middleware.Edge(app, https=current.address.startswith("https:"), prefix=current.prefix)


def litestar() -> Litestar:
    """Return the Litestar application without its wrappers."""
    current = settings.load()
    reader = Reader()
    return Litestar(
        route_handlers=[
            Accounts,
            Flavors,
            Orders,
            OrderActions,
            Payments,
            PaymentMethods,
            Events,
            Stats,
            webhooks.receive_webhook,
            health.HealthChecks,
            metrics.read,
            site.mount(notify.ring),
            dashboard_http.router,
            pages.router,
        ],
        on_app_init=[auth.on_app_init],
        before_request=query_parameters.only_declared,
        middleware=[rate_limits.Quota],
        request_class=bodies.AnyBody,
        request_max_body_size=LARGEST_BODY,
        exception_handlers={Exception: problems.problem},
        lifespan=[lifespan],
        state=State(
            {
                "gateway": providers.create_gateway(current),
                "order_placer": placing.OrderPlacer(notify.ring),
                "metrics": metrics.Page(notify.redis_is_away),
                "open_pages": OpenPages(reader),
                "readiness": health.Readiness(),
                "notify_workers": notify.ring,
                "reader": reader,
                "streams": Streams(reader),
                "waiting": Waiting(reader),
                "warnings": notify.warnings,
            }
        ),
        openapi_config=openapi.config(pages.SWAGGER, pages.REDOC, csp=pages.CSP),
        logging_config=None,
    )
