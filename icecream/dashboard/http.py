"""The dashboard for staff: sales, the payment queue, and payments that need review."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

from litestar import MediaType, Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp

from icecream import database, errors, settings
from icecream.accounts import users
from icecream.admin import cookies
from icecream.dashboard import assets, page
from icecream.dashboard import stream as dashboard_stream
from icecream.database import shared_reads
from icecream.http import bodies, problems, query_parameters
from icecream.reporting import csv_export, reports, sales
from icecream.reporting.http.parameters import DEFAULT_PERIOD, Period, Since, Until, parse_day_range
from icecream.tables import User

# Scripts, styles and figures only from our host, and nothing inline. Chart.js positions its canvas
# with the style object, which does not count as an inline style.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
SIGN_IN = "Sign in to the admin first."
NO_FIGURES = "The database is unavailable. No figures can be shown right now."
Call = Request[None, None, State]
DEPENDENCIES = {"days": Provide(parse_day_range, sync_to_thread=False)}


async def _is_staff_session(session: str) -> bool:
    user = await users.find_session_user(session)
    return user is not None and user.admin


async def _require_staff(request: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    user: User | None = await users.find_session_user(cookies.read_session(request.scope))
    if user is None:
        raise errors.Unauthenticated(SIGN_IN)
    if not user.admin:
        raise errors.Forbidden("The dashboard is for staff.")


def _html_response(text: str, status: int = 200) -> Response[str]:
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


# The handler checks its query itself, to show errors of the query on the page.
@get("/", any_query=True)
async def show_dashboard(
    request: Call, period: Period = None, since: Since = None, until: Until = None
) -> Response[Any]:
    """Return the page."""
    status = 200
    error = ""
    try:
        query_parameters.check_parameters(request)
        days = parse_day_range(period, since, until)
    except (errors.UnknownParameter, errors.ValidationFailed) as refusal:
        days = parse_day_range()
        period = DEFAULT_PERIOD
        status = 400
        error = refusal.detail
    if since is None:
        period = period or DEFAULT_PERIOD
    try:
        user = await users.find_session_user(cookies.read_session(request.scope), is_use=True)
        if user is None:
            return _redirect_to_sign_in(request)
        if not user.admin:
            problems.log_refusal(request.scope, errors.Forbidden())
            return _html_response(page.render_staff_only(), 403)
        view = page.build_view(*await reports.build_dashboard(days))
        customers = await sales.load_top_customers(sales.Span(days.since, days.until))
    except database.DATABASE_UNAVAILABLE:
        return _html_response(page.render_without_figures(days, period, NO_FIGURES), 503)
    return _html_response(page.render_page(view, customers, days, period, error), status)


def _redirect_to_sign_in(request: Call) -> Response[None]:
    query = request.scope["query_string"].decode("latin-1")
    prefix = settings.load().prefix
    back = f"{prefix}/dashboard/?{query}" if query else f"{prefix}/dashboard/"
    location = f"{prefix}/admin/?next={quote(back, safe='/')}"
    return Response(None, status_code=303, headers=HEADERS | {"Location": location})


async def _read_update(days: reports.DayRange) -> bodies.ReadyResponse:
    view = page.build_view(*await reports.build_dashboard(days))
    return bodies.JsonResponse(page.update_data(view))


_UPDATES = shared_reads.SharedReads(_read_update)


@get("/data", guards=[_require_staff], dependencies=DEPENDENCIES)
async def get_data(days: NamedDependency[reports.DayRange]) -> ASGIApp:
    """Return the data that updates an open page; all open pages ask for it at the same time."""
    return await _UPDATES.read(days)


@get("/sales.csv", guards=[_require_staff], dependencies=DEPENDENCIES)
async def download_sales(days: NamedDependency[reports.DayRange]) -> Response[str]:
    """Return the sales of these days by period and flavor, as CSV."""
    report, _ = await reports.build_report(sales.Span(days.since, days.until), days.interval)
    name = f"sales-{days.since}-{days.until - timedelta(1)}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(
        csv_export.report_to_csv(report), media_type="text/csv; header=present", headers=headers
    )


@get("/live", guards=[_require_staff])
async def stream_changes(request: Call, state: State) -> ASGIApp:
    """Send a server-sent event whenever the figures may have changed."""
    return dashboard_stream.PageStream(
        state.open_pages, cookies.read_session(request.scope), _is_staff_session
    )


router = Router(
    "/dashboard",
    route_handlers=[show_dashboard, get_data, download_sales, stream_changes, assets.get_asset],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
