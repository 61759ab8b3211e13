"""Figures over HTTP: ordered quantities for all users, and all totals for staff."""

from dataclasses import dataclass
from datetime import UTC

from litestar import Controller, get
from litestar.di import NamedDependency, Provide
from litestar.types import ASGIApp

from icecream import errors
from icecream.accounts import http as accounts_http
from icecream.database import shared_reads
from icecream.feed import events
from icecream.http import bodies, openapi
from icecream.reporting import csv_export, reports
from icecream.reporting import sales as reporting_sales
from icecream.reporting.day_ranges import DayRange
from icecream.reporting.http import examples, parameters

FILTERS_FOR_STAFF = "Only staff may use filters and see more than the ordered quantities."


def _as_of_header(upto: events.LastEvent) -> dict[str, str]:
    """Return the last event included in the figures, as a structured field (RFC 9651)."""
    at = f';at="{upto.at.astimezone(UTC).isoformat()[:-6]}Z"' if upto.at else ""
    return {"As-Of": f"{upto.position}{at}"}


async def _read_sales(query: parameters.SalesQuery) -> bodies.ReadyResponse:
    if query.is_unfiltered:
        sales, upto = await reporting_sales.load_flavor_sales()
        return _respond(sales, csv_export.sales_to_csv(sales) if query.csv else None, upto)
    report, upto = await reports.build_report(query.span, query.interval)
    return _respond(report, csv_export.report_to_csv(report) if query.csv else None, upto)


def _respond(value: object, sheet: str | None, upto: events.LastEvent) -> bodies.ReadyResponse:
    headers = _as_of_header(upto) | {"Vary": "Accept"}
    if sheet is None:
        return bodies.JsonResponse(value, headers)
    return bodies.CsvFile(sheet, "stats.csv", headers)


async def _read_dashboard(days: DayRange) -> bodies.ReadyResponse:
    answer, upto = await reports.build_dashboard(days)
    return bodies.JsonResponse(answer, _as_of_header(upto))


_SALES = shared_reads.SharedReads(_read_sales)
_DASHBOARDS = shared_reads.SharedReads(_read_dashboard)


@dataclass
class SalesOperation(openapi.OperationWithAsOf, openapi.OperationWithCsv):
    """An operation with sales figures."""

    csv_example = "flavor__name,total_qty_ordered\r\nChoclate,4\r\n"


class Stats(Controller):
    """The handlers for figures."""

    path = "/api"
    tags = ["Stats"]

    @get(
        "/stats",
        **openapi.operation(
            "salesByFlavor",
            "Sales by flavor",
            list[reporting_sales.FlavorSales] | reports.Report,
            examples.SALES,
            errors.ValidationFailed("/to", "invalid", "to must be a later day than from."),
            errors.Forbidden(FILTERS_FOR_STAFF),
            kind=SalesOperation,
        ),
    )
    async def sales(
        self,
        request: bodies.ApiRequest,
        since: parameters.Since = None,
        until: parameters.Until = None,
        status: parameters.StatusChoice = None,
        interval: parameters.IntervalChoice = None,
        format_: parameters.FormatChoice = None,
        time_zone: parameters.ZoneChoice = None,
    ) -> ASGIApp:
        """The ordered quantity of each flavor, over all orders of all customers, paid or not.

        For staff, with any of `from`, `to`, `status` and `interval`, the response is an object: the
        revenue and failures in total, by flavor and by period, the customers with the highest
        revenue, how many days the stock lasts, and the payment queue. As CSV it is one table.
        """
        # As a dependency of the handler, this would take as long as the rest of its work.
        query = parameters.parse_sales_query(
            request,
            since=since,
            until=until,
            status=status,
            interval=interval,
            format_=format_,
            time_zone=time_zone,
        )
        if not query.is_unfiltered and not request.user.admin:
            raise errors.Forbidden(FILTERS_FOR_STAFF)
        return await _SALES.read(query)

    @get(
        "/dashboard",
        guards=[accounts_http.require_staff],
        dependencies={"days": Provide(parameters.parse_day_range, sync_to_thread=False)},
        **openapi.operation(
            "dashboard",
            "Get the dashboard's figures",
            reports.Dashboard,
            examples.DASHBOARD,
            errors.ValidationFailed("/period", "invalid", "period must be one of 7d, 30d."),
            errors.Forbidden(accounts_http.STAFF_ONLY),
            kind=openapi.OperationWithAsOf,
        ),
    )
    async def dashboard(self, days: NamedDependency[DayRange]) -> ASGIApp:
        """All data of the dashboard, from one database snapshot. For staff.

        Sales of a `period`, or from one day (`from`) until before another (`to`), next to the days
        before; and the current state.
        """
        return await _DASHBOARDS.read(days)
