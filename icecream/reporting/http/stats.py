"""Figures over HTTP: ordered quantities for everybody, and all totals for staff."""

from datetime import UTC
from typing import Any

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.response import Response
from litestar.types import ASGIApp

from icecream import errors
from icecream.accounts import http as accounts_http
from icecream.feed import events
from icecream.http import bodies, openapi
from icecream.reporting import csv_export, reports
from icecream.reporting import sales as reporting_sales
from icecream.reporting.http import examples
from icecream.reporting.http.parameters import Asked, asked, days

# Litestar adds the charset.
CSV = "text/csv; header=present"
NOT_YOURS = "Only staff may see more than how much was ordered."


def _as_of(upto: events.Last) -> dict[str, str]:
    """Return the last event included in the figures, as a structured field (RFC 9651)."""
    at = f';at="{upto.at.astimezone(UTC).isoformat()[:-6]}Z"' if upto.at else ""
    return {"As-Of": f"{upto.position}{at}"}


class Stats(Controller):
    """The handlers for figures."""

    path = "/api"
    tags = ["Stats"]

    @get(
        "/stats",
        dependencies={"asked": Provide(asked, sync_to_thread=False)},
        operation_class=openapi.Sheet,
        operation_id="salesByFlavor",
        summary="Sales by flavor",
        responses=openapi.answers(
            200,
            list[reporting_sales.FlavorSales] | reports.Report,
            examples.SALES,
            *openapi.CALL,
            errors.ValidationFailed("/to", "invalid", "to must be a later day than from."),
            errors.Forbidden(NOT_YOURS),
        ),
    )
    async def sales(self, request: bodies.AnyBody, asked: NamedDependency[Asked]) -> ASGIApp:
        """How much of each flavor was ordered: every order ever placed, by anybody, paid or not.

        Staff may ask for more. With any of `from`, `to`, `status` and `interval` the answer is an
        object: money and failures too, as a whole, by flavor and by period, the customers who paid
        most, for how long stock lasts, and what waits for its payment. As CSV it is one table.
        """
        if asked.plain:
            sales, upto = await reporting_sales.sales()
            text = csv_export.sales(sales) if asked.csv else None
            return _answer(request, sales, text, upto)
        if not request.user.admin:
            raise errors.Forbidden(NOT_YOURS)
        report, upto = await reports.report(asked.span, asked.interval)
        return _answer(request, report, csv_export.of(report) if asked.csv else None, upto)

    @get(
        "/dashboard",
        guards=[accounts_http.staff_only],
        dependencies={"days": Provide(days, sync_to_thread=False)},
        operation_class=openapi.Figures,
        operation_id="dashboard",
        summary="See the dashboard's figures",
        responses=openapi.answers(
            200,
            reports.Dashboard,
            examples.DASHBOARD,
            *openapi.CALL,
            errors.ValidationFailed("/period", "invalid", "period must be one of 7d, 30d."),
            errors.Forbidden("Only staff may do this."),
        ),
    )
    async def dashboard(self, days: NamedDependency[reports.Days]) -> ASGIApp:
        """All that the dashboard shows, in one answer and as of one moment; for staff.

        Sales of a `period`, or of the days `from` one and before another (`to`), beside as many
        days before; and how things are now: stock that runs out, the queue, the latest orders.
        """
        answer, upto = await reports.dashboard(days)
        return bodies.Json(answer, _as_of(upto))


def _answer(request: bodies.AnyBody, value: Any, sheet: str | None, upto: events.Last) -> ASGIApp:
    headers = _as_of(upto) | {"Vary": "Accept"}
    if sheet is None:
        return bodies.Json(value, headers)
    headers["Content-Disposition"] = 'attachment; filename="stats.csv"'
    return Response(sheet, media_type=CSV, headers=headers).to_asgi_response(None, request)
