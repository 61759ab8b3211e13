"""The assembly of the application; imported only by the server, the command and the tests."""

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import FrameType
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.types import ASGIApp, Receive, Scope, Send

from icecream import database, settings
from icecream.accounts import api_keys
from icecream.accounts.http import auth
from icecream.accounts.http.keys import ApiKeys
from icecream.accounts.http.me import Me
from icecream.accounts.http.signing_in import SigningIn
from icecream.admin import site
from icecream.bulk.http import BulkFiles
from icecream.catalogue.http import Flavors
from icecream.dashboard import http as dashboard_http
from icecream.dashboard.stream import OpenPages
from icecream.feed.http import Events, OpenStreams
from icecream.feed.reader import FeedReader
from icecream.feed.waiting import SettlementWaiters
from icecream.fulfilment.http.moves import Fulfilment
from icecream.fulfilment.http.packing_lists import PackingLists
from icecream.http import (
    bodies,
    cors,
    health,
    login_counts,
    methods,
    metrics,
    middleware,
    openapi,
    pages,
    parameters,
    problems,
    query_parameters,
    rate_limits,
)
from icecream.http.application import Application
from icecream.orders import placing
from icecream.orders.http.actions import OrderActions
from icecream.orders.http.orders import Orders
from icecream.pages import assets, set_password, sign_in
from icecream.payments import providers
from icecream.payments.http import webhooks
from icecream.payments.http.decisions import PaymentDecisions
from icecream.payments.http.methods import PaymentMethods
from icecream.payments.http.payments import Payments
from icecream.reporting.http.stats import Stats
from icecream.runtime import background, garbage_collection, instrumentation, shutdown
from icecream.shop import http as shop_http
from icecream.staff import customers as staff_customers
from icecream.staff import flavors as staff_flavors
from icecream.staff import order as staff_order
from icecream.staff import orders as staff_orders
from icecream.staff import packing as staff_packing
from icecream.webhook_pages import http as webhook_pages_http
from icecream.webhooks.http.deliveries import WebhookDeliveries
from icecream.webhooks.http.endpoints import WebhookEndpoints
from tasks.publishing import run_publisher
from tasks.totals import update_totals

# The largest valid body is an order of 100 lines, some kilobytes; files have a limit of their own.
MAX_BODY_BYTES = 256_000
# The process ends this long after the end of serving, even if something hangs.
MAX_STOP_SECONDS = 7
# The time for the server to open its port, after which the rest of the start may take longer.
PORT_OPENING_SECONDS = 0.5


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


# Taskiq and the client of Redis take a quarter of all imports, and no answer needs them. So they
# are imported when the port is open, or at the first notification.


async def _notify_workers(payments: list[int], customers: Sequence[int] = ()) -> None:
    from tasks import notify

    await notify.notify_workers(payments, customers)


async def _redis_is_unavailable() -> bool | None:
    from tasks import notify

    return await notify.redis_is_unavailable()


async def _start_notifications(app: Litestar, stack: AsyncExitStack) -> None:
    """Open the broker, and with SQLite start the worker too; the stack will end both."""
    await asyncio.sleep(PORT_OPENING_SECONDS)
    with garbage_collection.paused():
        from tasks import broker, notify, worker
    await stack.enter_async_context(broker.open_broker())
    if settings.load().embedded:
        await stack.enter_async_context(worker.run_worker())
    app.state.readiness.redis_warnings = notify.redis_warnings
    garbage_collection.ignore_current_objects()


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    """Keep the database, the broker and the feed open, and with SQLite the worker too."""
    _stop_with_parent()
    _on_stop_signal(app.state.reader.close)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(database.open_pool("serve"))
        stack.push_async_callback(app.state.provider.close)
        stack.push_async_callback(login_counts.close)
        await stack.enter_async_context(run_publisher())
        await stack.enter_async_context(update_totals())
        await stack.enter_async_context(
            background.keep_running("record of used keys", api_keys.key_uses.write_repeatedly)
        )
        await stack.enter_async_context(
            background.keep_running(
                "start of notifications", partial(_start_notifications, app, stack)
            )
        )
        garbage_collection.ignore_current_objects()
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
            ApiKeys,
            Flavors,
            Orders,
            OrderActions,
            Fulfilment,
            PackingLists,
            Payments,
            PaymentDecisions,
            PaymentMethods,
            Events,
            Stats,
            webhooks.receive_webhook,
            WebhookEndpoints,
            WebhookDeliveries,
            BulkFiles,
            health.HealthChecks,
            metrics.get_metrics,
            site.mount(_notify_workers),
            dashboard_http.router,
            shop_http.router,
            staff_orders.router,
            staff_order.router,
            sign_in.router,
            staff_flavors.router,
            staff_customers.router,
            staff_packing.router,
            webhook_pages_http.router,
            set_password.router,
            assets.get_asset,
            pages.router,
        ],
        on_app_init=[auth.on_app_init],
        before_request=query_parameters.refuse_undeclared,
        middleware=[rate_limits.RateLimiter],
        plugins=[parameters.QuickParameters()],
        request_class=bodies.ApiRequest,
        request_max_body_size=MAX_BODY_BYTES,
        exception_handlers={Exception: problems.problem_response},
        lifespan=[lifespan],
        state=State(
            {
                "provider": providers.create_provider(current),
                "import_lock": asyncio.Lock(),
                "order_placer": placing.OrderPlacer(_notify_workers),
                "metrics": metrics.MetricsPage(_redis_is_unavailable),
                "open_pages": OpenPages(reader),
                "readiness": health.Readiness(),
                "notify_workers": _notify_workers,
                "reader": reader,
                "streams": OpenStreams(reader),
                "settlement_waiters": SettlementWaiters(reader),
            }
        ),
        openapi_config=openapi.openapi_config(pages.SWAGGER, pages.REDOC, csp=pages.CSP),
        logging_config=None,
    )
