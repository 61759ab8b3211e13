"""The dashboard for staff: sales, waiting work, and problems that need a person."""

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
from icecream.admin import login
from icecream.dashboard import assets, page
from icecream.dashboard import stream as dashboard_stream
from icecream.http import bodies, query_parameters
from icecream.reporting import csv_export, reports, sales
from icecream.reporting.http.parameters import TYPICAL, Period, Since, Until
from icecream.reporting.http.parameters import days as asked_for
from icecream.tables import User

# Scripts, styles and figures only from our host, and none inline. Chart.js moves its canvas with
# the style object, which does not count as an inline style.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
# As in the admin: opening a page shortly before the session's end prolongs the session.
LONGER = timedelta(minutes=20)
SIGN_IN = "Sign in to the admin first."
AWAY = "The database does not answer, so there are no figures right now."
Call = Request[None, None, State]
DAYS = {"days": Provide(asked_for, sync_to_thread=False)}


def _session(request: ASGIConnection[Any, Any, Any, Any]) -> str:
    return request.cookies.get(login.COOKIE, "")


async def _holds(session: str) -> bool:
    user = await users.of_session(session)
    return user is not None and user.admin


async def _staff_only(request: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    user: User | None = await users.of_session(_session(request))
    if user is None:
        raise errors.Unauthenticated(SIGN_IN)
    if not user.admin:
        raise errors.Forbidden("The dashboard is for staff.")


def _html(text: str, status: int = 200) -> Response[str]:
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


# It checks its query itself, and shows errors of the query on the page.
@get("/", any_query=True)
async def dashboard(
    request: Call, period: Period = None, since: Since = None, until: Until = None
) -> Response[Any]:
    """The page."""
    status, trouble = 200, ""
    try:
        query_parameters.check(request)
        days = asked_for(period, since, until)
    except (errors.UnknownParameter, errors.ValidationFailed) as refusal:
        days, period, status, trouble = asked_for(), TYPICAL, 400, refusal.detail
    if since is None:
        period = period or TYPICAL
    try:
        user = await users.of_session(_session(request), extend=LONGER)
        if user is None:
            return _to_sign_in(request)
        if not user.admin:
            return _html(page.for_staff(), 403)
        view = page.view(*await reports.dashboard(days))
        customers = await sales.by_customer(sales.Span(days.since, days.until))
    except database.AWAY:
        return _html(page.without_figures(days, period, AWAY), 503)
    return _html(page.whole(view, customers, days, period, trouble), status)


def _to_sign_in(request: Call) -> Response[None]:
    query = request.url.query
    prefix = settings.load().prefix
    back = f"{prefix}/dashboard/?{query}" if query else f"{prefix}/dashboard/"
    location = f"{prefix}/admin/?next={quote(back, safe='/')}"
    return Response(None, status_code=303, headers=HEADERS | {"Location": location})


@get("/data", guards=[_staff_only], dependencies=DAYS)
async def data(days: NamedDependency[reports.Days]) -> ASGIApp:
    """What changes on a page that is open."""
    view = page.view(*await reports.dashboard(days))
    return bodies.Json(page.data(view))


@get("/sales.csv", guards=[_staff_only], dependencies=DAYS)
async def sheet(days: NamedDependency[reports.Days]) -> Response[str]:
    """The sales of these days, by period and flavor."""
    report, _ = await reports.report(sales.Span(days.since, days.until), days.interval)
    name = f"sales-{days.since}-{days.until - timedelta(1)}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(csv_export.of(report), media_type="text/csv; header=present", headers=headers)


@get("/live", guards=[_staff_only])
async def stream(request: Call, state: State) -> ASGIApp:
    """Server-sent events: that something happened."""
    return dashboard_stream.Stream(state.open_pages, _session(request), _holds)


router = Router(
    "/dashboard",
    route_handlers=[dashboard, data, sheet, stream, assets.asset],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
