"""How much of each flavor was ordered."""

from typing import Annotated

from litestar import Controller, get
from msgspec import Meta, Struct, convert
from piccolo.query.functions import Sum

from icecream import openapi
from icecream.tables import FlavorTotal


class FlavorSales(Struct, rename={"flavor_name": "flavor__name"}):
    """All that was ever ordered of a flavor."""

    flavor_name: openapi.Name
    total_qty_ordered: Annotated[int, Meta(ge=0, le=2**63 - 1)]


EXAMPLE = {"flavor__name": "Choclate", "total_qty_ordered": 4}


class Stats(Controller):
    """Figures."""

    path = "/api/stats"
    tags = ["Stats"]

    @get(
        "/",
        operation_class=openapi.ApiOperation,
        operation_id="salesByFlavor",
        summary="Sales by flavor",
        responses=openapi.answers(200, list[FlavorSales], [EXAMPLE], *openapi.CALL),
    )
    async def sales(self) -> list[FlavorSales]:
        """How much of each flavor was ordered: every order ever placed, by anybody, paid or not."""
        name = FlavorTotal.flavor.name
        rows = (
            await FlavorTotal.select(
                name.as_alias("flavor__name"),
                Sum(FlavorTotal.quantity).as_alias("total_qty_ordered"),
            )
            .group_by(name)
            .order_by(name)
        )
        # PostgreSQL's sum of bigint is numeric.
        return convert(
            [row | {"total_qty_ordered": int(row["total_qty_ordered"])} for row in rows],
            list[FlavorSales],
        )
