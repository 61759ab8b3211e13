"""The dashboard for staff: sales, the payment queue, and payments that need review."""

from datetime import timedelta
from typing import Any

from litestar import Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.response import Stream
from litestar.types import ASGIApp

from icecream import database, errors
from icecream.accounts import users
from icecream.accounts.http import sessions
from icecream.dashboard import page
from icecream.dashboard import stream as dashboard_stream
from icecream.database import shared_reads
from icecream.http import bodies, query_parameters
from icecream.orders.http import csv_export as orders_csv
from icecream.orders.http import filters
from icecream.pages import access, rendering
from icecream.reporting import csv_export, payment_outcomes, reports, sales
from icecream.reporting.day_ranges import DayRange, start_of_day
from icecream.reporting.http.parameters import (
    DEFAULT_PERIOD,
    Period,
    Since,
    Until,
    parse_local_day_range,
)

NO_FIGURES = "The database is unavailable. No figures can be shown right now."
Call = Request[None, None, State]
DEPENDENCIES = {"days": Provide(parse_local_day_range, sync_to_thread=False)}


async def _is_staff_session(session: str) -> bool:
    user = await users.find_session_user(session)
    return user is not None and user.admin


# The handler checks its query itself, to show errors of the query on the page.
@get("/", any_query=True, exception_handlers={errors.Refusal: access.error_page})
async def show_dashboard(
    request: Call, period: Period = None, since: Since = None, until: Until = None
) -> Response[Any]:
    """Return the page."""
    status = 200
    error = ""
    try:
        query_parameters.check_parameters(request)
        days = parse_local_day_range(period, since, until)
    except (errors.UnknownParameter, errors.ValidationFailed) as refusal:
        days = parse_local_day_range()
        period = DEFAULT_PERIOD
        status = 400
        error = refusal.detail
    if since is None:
        period = period or DEFAULT_PERIOD
    try:
        visitor = await access.load_staff(request)
        view = page.build_view(*await reports.build_dashboard(days))
        customers = await sales.load_top_customers(days.span)
        payments = await payment_outcomes.load_payment_outcomes(days)
    except database.DATABASE_UNAVAILABLE:
        text = page.render_without_figures(days, period, NO_FIGURES)
        return rendering.html_response(text, 503)
    text = page.render_page(visitor, view, customers, payments, days, period, error)
    return rendering.html_response(text, status)


async def _read_update(days: DayRange) -> bodies.ReadyResponse:
    view = page.build_view(*await reports.build_dashboard(days))
    return bodies.JsonResponse(page.update_data(view))


_UPDATES = shared_reads.SharedReads(_read_update)


@get("/data", guards=[access.require_staff], dependencies=DEPENDENCIES)
async def get_data(days: NamedDependency[DayRange]) -> ASGIApp:
    """Return the data that updates an open page; all open pages ask for it at the same time."""
    return await _UPDATES.read(days)


@get("/sales.csv", guards=[access.require_staff], dependencies=DEPENDENCIES)
async def download_sales(days: NamedDependency[DayRange]) -> ASGIApp:
    """Return the sales of these days by period and flavor, as CSV."""
    report, _ = await reports.build_report(days.span, days.interval)
    name = f"sales-{_days_in_name(days)}.csv"
    return bodies.CsvFile(csv_export.report_to_csv(report), name)


@get("/orders.csv", guards=[access.require_staff], dependencies=DEPENDENCIES)
async def download_orders(days: NamedDependency[DayRange]) -> Stream:
    """Return the orders of these days as CSV."""
    first, end = start_of_day(days.since, days.zone), start_of_day(days.until, days.zone)
    order_filter = filters.OrderFilter(None, created_from=first, created_to=end)
    file = await orders_csv.stream_orders(order_filter, f"orders-{_days_in_name(days)}.csv")
    file.headers.update(rendering.HEADERS)
    return file


def _days_in_name(days: DayRange) -> str:
    return f"{days.since}-{days.until - timedelta(1)}"


@get("/live", guards=[access.require_staff])
async def stream_changes(request: Call, state: State) -> ASGIApp:
    """Send a server-sent event whenever the figures may have changed."""
    return dashboard_stream.PageStream(
        state.open_pages, sessions.read_token(request.scope), _is_staff_session
    )


router = Router(
    "/dashboard",
    route_handlers=[show_dashboard, get_data, download_sales, download_orders, stream_changes],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
