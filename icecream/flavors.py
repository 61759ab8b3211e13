"""The catalogue."""

import unicodedata
from datetime import UTC, datetime
from typing import Annotated

from litestar import Controller, get, post
from litestar.params import JSONBody
from msgspec import UNSET, Meta, Struct, UnsetType, convert

from icecream import accounts, bodies, database, errors, openapi, settings
from icecream.tables import MAX_PRICE, MAX_STOCK, Flavor, StockMove, User

Price = Annotated[
    int,
    Meta(ge=0, le=MAX_PRICE, description="In minor units, such as cents.", examples=[250]),
]
Stock = Annotated[int, Meta(ge=0, le=MAX_STOCK, examples=[40])]


class NewFlavor(bodies.Body):
    """A flavor to add; `price` and `stock` are for staff."""

    name: Annotated[
        str,
        Meta(min_length=1, max_length=100, pattern=accounts.NAME, examples=["Choclate"]),
    ]
    price: Price | UnsetType = UNSET
    stock: Stock | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        # As the original did, and so that two names that look the same are the same.
        self.name = unicodedata.normalize("NFC", self.name).strip()
        if not 1 <= len(self.name) <= 100:
            raise ValueError("Expected 1 to 100 characters besides white space - at `$.name`")


class FlavorView(Struct):
    """A flavor; `stock` is what is left, or null where it is not counted."""

    id: bodies.Id
    name: openapi.Name
    price: Price
    stock: Stock | None


EXAMPLE = {"id": 2, "name": "Choclate", "price": 250, "stock": 40}
REFUSALS = (
    errors.Forbidden("Only staff may set the price."),
    errors.Conflict("There is already a flavor called Choclate."),
)


class Flavors(Controller):
    """What can be ordered."""

    path = "/api/flavors"
    tags = ["Flavors"]

    @get(
        "/",
        operation_class=openapi.ApiOperation,
        operation_id="listFlavors",
        summary="List flavors",
        responses=openapi.answers(200, list[FlavorView], [EXAMPLE], *openapi.CALL),
    )
    async def all(self) -> list[FlavorView]:
        """Everything that can be ordered, oldest first."""
        rows = (
            await Flavor.select(Flavor.id, Flavor.name, Flavor.price, Flavor.stock)
            .where(Flavor.archived.eq(False))
            .order_by(Flavor.id)
        )
        return convert(rows, list[FlavorView])

    @post(
        "/add",
        operation_class=openapi.ApiOperation,
        operation_id="addFlavor",
        summary="Add a flavor",
        responses=openapi.answers(
            201, FlavorView, EXAMPLE, *openapi.CALL, *openapi.BODY, *REFUSALS
        ),
    )
    async def add(self, request: bodies.AnyBody, data: JSONBody[NewFlavor]) -> FlavorView:
        """Add a flavor by name. Only staff may set its price and its stock.

        Without a price it gets the default one, without a stock it is not counted.
        """
        return await create(data, by=request.user)


def _allow(new: NewFlavor, by: User) -> None:
    if by.admin:
        return
    if settings.load().flavors_added_by == "staff":
        raise errors.Forbidden("Only staff may add flavors here.")
    for field in ("price", "stock"):
        if getattr(new, field) is not UNSET:
            raise errors.Forbidden(f"Only staff may set the {field}.")


async def create(new: NewFlavor, *, by: User) -> FlavorView:
    """Add a flavor; its first stock is a receipt like any later one.

    Raises:
        errors.Forbidden: this user may not, or not with a price and a stock.
        errors.Conflict: the name is taken.
    """
    _allow(new, by)
    stock = None if new.stock is UNSET else new.stock
    price = settings.load().default_price if new.price is UNSET else new.price

    async def insert() -> int:
        row = Flavor(name=new.name, price=price, stock=stock)
        flavor: int = (await Flavor.insert(row))[0]["id"]
        if stock:
            move = StockMove(
                flavor=flavor, quantity=stock, why="first stock", by=by.id, at=datetime.now(UTC)
            )
            await StockMove.insert(move)
        return flavor

    try:
        flavor = await database.transaction(insert)
    except database.REFUSED:
        raise errors.Conflict(
            f"There is already a flavor called {new.name}.",
            errors=[{"pointer": "/name", "code": "taken", "detail": "This name is taken."}],
        ) from None
    return FlavorView(flavor, new.name, price, stock)
