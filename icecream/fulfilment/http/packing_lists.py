"""The packing list over HTTP, as JSON and as CSV."""

from dataclasses import dataclass
from typing import Annotated

from litestar import Controller, get
from litestar.params import Parameter, QueryParameter
from litestar.types import ASGIApp

from icecream import errors
from icecream.accounts import http as accounts_http
from icecream.fulfilment import packing_list
from icecream.fulfilment.http import packing_views
from icecream.fulfilment.packing_list import PackingList
from icecream.http import bodies, openapi, pagination
from icecream.reporting.http.parameters import wants_csv

TABLES = ("orders", "flavors")


@dataclass
class PackingListOperation(openapi.OperationWithCsv):
    """An operation with a packing list."""

    csv_example = packing_views.CSV_EXAMPLE


class PackingLists(Controller):
    """The handler of packing lists, for staff."""

    path = "/api"
    tags = ["Fulfilment"]
    guards = [accounts_http.require_staff]

    @get(
        "/packing-list",
        **openapi.operation(
            "packingList",
            "Get a packing list",
            packing_views.PackingListView,
            packing_views.LIST_EXAMPLE,
            errors.ValidationFailed("/date", "invalid", "date must be a day, such as 2025-05-13."),
            errors.Forbidden(accounts_http.STAFF_ONLY),
            kind=PackingListOperation,
        ),
    )
    async def get_list(
        self,
        request: bodies.ApiRequest,
        day: Annotated[
            str | None,
            QueryParameter(
                name="date",
                schema_extra=pagination.DAY_SCHEMA,
                description="The delivery date; without it, the orders that have none.",
            ),
        ] = None,
        placed_from: Annotated[
            str | None,
            Parameter(
                schema_extra=pagination.DAY_SCHEMA,
                description="Without a delivery date: only orders placed since this UTC day; by "
                f"default {packing_list.DAYS_WITHOUT_DATE} days ago.",
            ),
        ] = None,
        table: Annotated[
            str | None,
            pagination.choice(
                "PackingTable",
                TABLES,
                "The CSV table: a row for each line of an order (the default), or the "
                "sums by flavor.",
            ),
        ] = None,
        format_: Annotated[
            str | None,
            QueryParameter(
                name="format",
                schema_extra={"title": "FileFormat", "enum": ["json", "csv"]},
                description="`csv`: the whole answer as a file for spreadsheets.",
            ),
        ] = None,
    ) -> ASGIApp:
        """What has to leave the store on a day, by flavor and by customer. For staff.

        The list has the paid orders with this delivery date that are not delivered, packed or not,
        without quantities that were refunded. As CSV it is one table.
        """
        wanted = pagination.parse_day("date", day)
        since = pagination.parse_day("placed_from", placed_from)
        if wanted is not None and since is not None:
            raise pagination.invalid_parameter("placed_from", "cannot be combined with date")
        table = pagination.parse_choice("table", table, TABLES) or TABLES[0]
        is_csv = wants_csv(request, format_)
        found = await packing_list.load(wanted, placed_from=since)
        if is_csv:
            return _respond_with_csv(found, table)
        return bodies.JsonResponse(packing_views.to_view(found), {"Vary": "Accept"})


def _respond_with_csv(found: PackingList, table: str) -> ASGIApp:
    name = f"packing-list-{found.day or 'without-date'}-{table}.csv"
    sheet = (
        packing_views.flavors_to_csv(found)
        if table == "flavors"
        else packing_views.orders_to_csv(found)
    )
    return bodies.CsvFile(sheet, name, {"Vary": "Accept"})
