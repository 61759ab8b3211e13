"""Placing orders and following them, over HTTP."""

import base64
import binascii
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import msgspec
from litestar import Controller, Response, get, post
from litestar.datastructures import State
from litestar.params import JSONBody, Parameter
from litestar.response import Stream
from msgspec import Meta, Struct

from icecream import bodies, errors, openapi, states
from icecream.tables import MAX_QUANTITY, Order, OrderLine

# Rows read at once while a whole list is streamed: enough to keep the database out of the way,
# little enough that a list of a million takes no more memory than a list of a thousand.
CHUNK = 500
MAX_PAGE = 500
# Flavors in one order.
MAX_LINES = 100


class NewOrder(bodies.Body):
    """So much of one flavor."""

    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[2])]
    flavor: Annotated[bodies.Id, Meta(description="Its id.", examples=[1])]


class OrderPlaced(Struct):
    """The order is stored and will be paid."""

    status: Literal["Order placed"]
    order_id: bodies.Id


class OrderView(Struct):
    """An order: `pending` until its payment is through, then `paid` or `failed`."""

    id: bodies.Id
    quantity: Annotated[int, Meta(ge=1, le=MAX_LINES * MAX_QUANTITY)]
    status: Annotated[str, Meta(extra_json_schema={"enum": list(states.ORDER)})]
    created_at: openapi.Moment
    user: bodies.Id
    flavor: bodies.Id | None


PLACED = {"status": "Order placed", "order_id": 1}
EXAMPLE = {
    "id": 1,
    "quantity": 2,
    "status": "pending",
    "created_at": "2025-05-13T10:22:06.428877Z",
    "user": 1,
    "flavor": 1,
}
REFUSALS = (
    errors.ValidationFailed("/quantity", "invalid", "quantity: Expected int >= 1."),
    errors.InsufficientStock(lines=[{"flavor": 1, "quantity": 3, "available": 2}]),
)
BAD_PAGE = errors.ValidationFailed("/after", "invalid", "This is not where a page ended.")


class Orders(Controller):
    """Ordering."""

    path = "/api"
    tags = ["Orders"]

    @post(
        "/orders",
        status_code=200,
        operation_class=openapi.ApiOperation,
        operation_id="placeOrder",
        summary="Place an order",
        responses=openapi.answers(
            200, OrderPlaced, PLACED, *openapi.CALL, *openapi.BODY, *REFUSALS
        ),
    )
    async def place(
        self, request: bodies.AnyBody, data: JSONBody[NewOrder], state: State
    ) -> OrderPlaced:
        """Order some of a flavor. The payment follows in the background."""
        placed = await state.intake.place(request.user.id, {data.flavor: data.quantity})
        return OrderPlaced("Order placed", placed.order)

    @get(
        ["/orders", "/my-orders"],
        operation_class=openapi.ApiOperation,
        operation_id=lambda handler, method, path: (
            "listOrders" if path[-1] == "orders" else "listMyOrders"
        ),
        summary="List your orders",
        responses=openapi.answers(200, list[OrderView], [EXAMPLE], *openapi.CALL, BAD_PAGE),
    )
    async def mine(
        self,
        request: bodies.AnyBody,
        limit: Annotated[
            int | None, Parameter(ge=1, le=MAX_PAGE, description="How many; without it, all.")
        ] = None,
        after: Annotated[
            str | None,
            Parameter(
                max_length=100,
                schema_extra={"pattern": "^[A-Za-z0-9_-]+=*$"},
                description="Where the last page ended, from its Link.",
            ),
        ] = None,
    ) -> Response[list[OrderView]] | Stream:
        """Your own orders, oldest first: all of them, or with `limit` a page.

        `/api/orders/` and `/api/my-orders/` answer the same. A page that is not the last one
        has a `Link` to the next (RFC 8288).
        """
        start = _position(after) if after is not None else 0
        if limit is None:
            # The first rows are read before the answer begins, while it can still be a refusal.
            first = await page(request.user.id, start, CHUNK)
            return Stream(_stream(request.user.id, first), media_type="application/json")
        rows = await page(request.user.id, start, limit + 1)
        answer = Response(rows[:limit])
        if len(rows) > limit:
            cursor = base64.urlsafe_b64encode(b"id:%d" % rows[limit - 1].id).decode()
            address = f"{request.url.path}?limit={limit}&after={cursor}"
            answer.headers["Link"] = f'<{address}>; rel="next"'
        return answer


def _position(after: str) -> int:
    try:
        word, _, number = base64.urlsafe_b64decode(after.encode()).decode().partition(":")
        if word != "id" or not 0 <= int(number) <= bodies.MAX_ID:
            raise ValueError
    except (binascii.Error, ValueError):
        detail = "This is not where a page ended."
        raise errors.ValidationFailed("/after", "invalid", detail) from None
    return int(number)


async def page(user: int, after: int, limit: int) -> list[OrderView]:
    """A user's orders with an id above `after`, oldest first, at most `limit`."""
    orders = (
        await Order.select(Order.id, Order.status, Order.created_at, Order.user)
        .where(Order.user == user, Order.id > after)
        .order_by(Order.id)
        .limit(limit)
    )
    if not orders:
        return []
    lines: dict[int, list[dict[str, Any]]] = {}
    for line in await OrderLine.select(OrderLine.order, OrderLine.flavor, OrderLine.quantity).where(
        OrderLine.order.is_in([order["id"] for order in orders])
    ):
        lines.setdefault(line["order"], []).append(line)
    return [_view(order, lines[order["id"]]) for order in orders]


def _view(order: dict[str, Any], lines: list[dict[str, Any]]) -> OrderView:
    return OrderView(
        quantity=sum(line["quantity"] for line in lines),
        flavor=lines[0]["flavor"] if len(lines) == 1 else None,
        **order,
    )


async def _stream(user: int, rows: list[OrderView]) -> AsyncIterator[bytes]:
    before = b"["
    while rows:
        yield before + msgspec.json.encode(rows)[1:-1]
        before, rows = b",", await page(user, rows[-1].id, CHUNK)
    yield b"]" if before == b"," else b"[]"
