"""The page that staff open in the morning: how sales are, what waits, what needs a hand."""

from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from litestar import MediaType, Request, Response, Router, get
from litestar.datastructures import State
from litestar.types import ASGIApp
from msgspec import ValidationError, convert

from icecream import accounts, bodies, database, errors
from icecream.admin import door
from icecream.dashboard import assets, live, page
from icecream.stats import figures, reports, sheets
from icecream.stats.asked import TYPICAL
from icecream.stats.asked import days as asked_for
from icecream.tables import User

# Scripts, styles and figures from us alone, nothing written into the page; Chart.js moves its
# canvas through the style object, which is no style of the page.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-store"}
# As the admin does it: whoever opens a page shortly before the session's end stays signed in.
LONGER = timedelta(minutes=20)
SIGN_IN = "Sign in to the admin first."
AWAY = "The database does not answer, so there are no figures right now."
Call = Request[None, None, State]


def _session(request: Call) -> str:
    return request.cookies.get(door.COOKIE, "")


async def _holds(session: str) -> bool:
    user = await accounts.of_session(session)
    return user is not None and user.admin


async def _require_staff(request: Call) -> None:
    user: User | None = await accounts.of_session(_session(request))
    if user is None:
        raise errors.Unauthenticated(SIGN_IN)
    if not user.admin:
        raise errors.Forbidden("The dashboard is for staff.")


def _days(request: Call) -> reports.Days:
    """A `period`, or the days `from` one `through` another, with it.

    Raises:
        errors.ValidationFailed: there are no such days.
    """
    query = request.query_params
    return asked_for(query.get("period"), query.get("from"), _after(query.get("through")))


def _after(last: str | None) -> str | None:
    try:
        return str(convert(last, date) + timedelta(1)) if last is not None else None
    except (ValidationError, OverflowError):
        return last


def _html(text: str, status: int = 200) -> Response[str]:
    return Response(text, status_code=status, media_type=MediaType.HTML, headers=HEADERS)


@get("/")
async def dashboard(request: Call) -> Response[Any]:
    """The page."""
    period, status, trouble = request.query_params.get("period"), 200, ""
    try:
        days = _days(request)
    except errors.ValidationFailed as refusal:
        days, period, status, trouble = asked_for(), TYPICAL, 400, refusal.detail
    if "from" not in request.query_params:
        period = period or TYPICAL
    try:
        user = await accounts.of_session(_session(request), extend=LONGER)
        if user is None:
            return _to_sign_in(request)
        if not user.admin:
            return _html(page.for_staff(), 403)
        view = page.view(*await reports.dashboard(days))
        customers = await figures.by_customer(figures.Span(days.since, days.until))
    except database.AWAY:
        return _html(page.without_figures(days, period, AWAY), 503)
    return _html(page.whole(view, customers, days, period, trouble), status)


def _to_sign_in(request: Call) -> Response[None]:
    query = request.url.query
    back = f"/dashboard/?{query}" if query else "/dashboard/"
    location = f"/admin/?next={quote(back, safe='/')}"
    return Response(None, status_code=303, headers=HEADERS | {"Location": location})


@get("/data")
async def data(request: Call) -> ASGIApp:
    """What changes on a page that is open."""
    await _require_staff(request)
    view = page.view(*await reports.dashboard(_days(request)))
    return bodies.Json(page.data(view))


@get("/sales.csv")
async def sheet(request: Call) -> Response[str]:
    """The sales of these days, by period and flavor."""
    await _require_staff(request)
    days = _days(request)
    report, _ = await reports.report(figures.Span(days.since, days.until), days.interval)
    name = f"sales-{days.since}-{days.until - timedelta(1)}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(sheets.of(report), media_type="text/csv; header=present", headers=headers)


@get("/live")
async def stream(request: Call, state: State) -> ASGIApp:
    """Server-sent events: that something happened."""
    await _require_staff(request)
    return live.Stream(state.open_pages, _session(request), _holds)


router = Router(
    "/dashboard",
    route_handlers=[dashboard, data, sheet, stream, assets.asset],
    include_in_schema=False,
    opt={"exclude_from_auth": True},
)
