"""The assembly of the application; imported only by the server, the command and the tests."""

import asyncio
import gc
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
from icecream.accounts.http import auth
from icecream.accounts.http.me import Me
from icecream.accounts.http.signing_in import SigningIn
from icecream.admin import site
from icecream.catalogue.http import Flavors
from icecream.dashboard import http as dashboard_http
from icecream.dashboard.stream import OpenPages
from icecream.feed.http import Events, OpenStreams
from icecream.feed.reader import FeedReader
from icecream.feed.waiting import SettlementWaiters
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
from icecream.http.application import Application
from icecream.orders import placing
from icecream.orders.http.actions import OrderActions
from icecream.orders.http.orders import Orders
from icecream.payments import providers
from icecream.payments.http import webhooks
from icecream.payments.http.decisions import PaymentDecisions
from icecream.payments.http.methods import PaymentMethods
from icecream.payments.http.payments import Payments
from icecream.reporting.http.stats import Stats
from icecream.runtime import instrumentation, shutdown
from tasks import broker, notify
from tasks.publishing import run_publisher
from tasks.totals import update_totals
from tasks.worker import run_worker

# The largest valid body is an order of 100 lines, some kilobytes.
MAX_BODY_BYTES = 256_000
# The process ends this long after the end of serving, even if something hangs.
MAX_STOP_SECONDS = 7


def _stop_with_parent() -> None:
    """End this process with the first server process, so that it does not keep the port."""
    parent, loop = multiprocessing.parent_process(), asyncio.get_running_loop()
    if parent is None:
        return
    sentinel = parent.sentinel

    def stop() -> None:
        loop.remove_reader(sentinel)
        instrumentation.remove_folder()
        signal.raise_signal(signal.SIGTERM)

    loop.add_reader(sentinel, stop)


def _on_stop_signal(stop: Callable[[], None]) -> None:
    """Call `stop` as soon as the server receives a stop signal.

    uvicorn notifies the application only after all streams have ended.
    """
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        previous = signal.getsignal(number)
        if callable(previous):
            signal.signal(number, partial(_handle_signal, loop, stop, previous))


def _handle_signal(
    loop: asyncio.AbstractEventLoop,
    stop: Callable[[], None],
    previous: Callable[[int, FrameType | None], Any],
    number: int,
    frame: FrameType | None,
) -> None:
    loop.call_soon_threadsafe(stop)
    previous(number, frame)


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Keep the database, the broker and the feed open, and with SQLite the worker too."""
    _stop_with_parent()
    _on_stop_signal(app.state.reader.close)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database.open_pool("serve"))
        await stack.enter_async_context(broker.open_broker())
        stack.push_async_callback(app.state.provider.close)
        if settings.load().embedded:
            await stack.enter_async_context(run_worker())
        await stack.enter_async_context(run_publisher())
        await stack.enter_async_context(update_totals())
        # These objects live as long as the process. If the garbage collector scanned them again and
        # again, all requests would stop for a tenth of a second each time.
        gc.collect()
        gc.freeze()
        yield
        app.state.reader.close()
        timer = shutdown.force_exit_after(MAX_STOP_SECONDS)
        await app.state.order_placer.close()
    # Nothing hangs. A process that embeds the application continues.
    timer.cancel()


def create() -> Callable[[Scope, Receive, Send], Any]:
    """Return the complete ASGI application."""
    current = settings.load()
    app: ASGIApp = methods.HeadAndOptions(litestar())
    if current.cors_origins:
        app = cors.add_cors(app, current.cors_origins)
    return middleware.OuterMiddleware(
        app, https=current.address.startswith("https:"), prefix=current.prefix
    )


def litestar() -> Litestar:
    """Return the Litestar application without its wrappers."""
    current = settings.load()
    reader = FeedReader()
    return Application(
        route_handlers=[
            SigningIn,
            Me,
            Flavors,
            Orders,
            OrderActions,
            Payments,
            PaymentDecisions,
            PaymentMethods,
            Events,
            Stats,
            webhooks.receive_webhook,
            health.HealthChecks,
            metrics.get_metrics,
            site.mount(notify.notify_workers),
            dashboard_http.router,
            pages.router,
        ],
        on_app_init=[auth.on_app_init],
        before_request=query_parameters.refuse_undeclared,
        middleware=[rate_limits.RateLimiter],
        request_class=bodies.ApiRequest,
        request_max_body_size=MAX_BODY_BYTES,
        exception_handlers={Exception: problems.problem_response},
        lifespan=[lifespan],
        state=State(
            {
                "provider": providers.create_provider(current),
                "order_placer": placing.OrderPlacer(notify.notify_workers),
                "metrics": metrics.MetricsPage(notify.redis_is_unavailable),
                "open_pages": OpenPages(reader),
                "readiness": health.Readiness(notify.redis_warnings),
                "notify_workers": notify.notify_workers,
                "reader": reader,
                "streams": OpenStreams(reader),
                "settlement_waiters": SettlementWaiters(reader),
            }
        ),
        openapi_config=openapi.openapi_config(pages.SWAGGER, pages.REDOC, csp=pages.CSP),
        logging_config=None,
    )
