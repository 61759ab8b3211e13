"""Moving orders to a state of fulfilment, over HTTP."""

from typing import Annotated, Literal

from litestar import Controller, post
from litestar.params import JSONBody
from litestar.types import ASGIApp
from msgspec import Meta, Struct
from msgspec.structs import asdict

from icecream import errors, fields
from icecream.accounts import http as accounts_http
from icecream.fulfilment import transitions
from icecream.http import bodies, openapi
from icecream.idempotency import http as idempotency_http

# A test compares it with the states.
State = Literal["unfulfilled", "packed", "delivered", "returned"]
MAX_ORDERS = transitions.MAX_ORDERS_PER_MOVE
OrderIds = Annotated[list[fields.Id], Meta(max_length=MAX_ORDERS)]


class Move(fields.Body):
    """Orders, the state `to` which they move, and perhaps a reason and a note."""

    orders: Annotated[
        list[fields.Id], Meta(min_length=1, max_length=MAX_ORDERS, examples=[[17, 18]])
    ]
    to: Annotated[State, Meta(examples=["packed"])]
    reason: Annotated[fields.ShownReason, Meta(examples=["the shop was closed"])] | None = None
    internal_note: fields.InternalNote | None = None

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")


class RefusedOrder(Struct):
    """An order that was not moved, and why."""

    order: fields.Id
    code: fields.Word
    detail: fields.Text


class MoveView(Struct):
    """The orders that were `moved`, those that were in that state already, and those `refused`."""

    moved: OrderIds
    unchanged: OrderIds
    refused: Annotated[list[RefusedOrder], Meta(max_length=MAX_ORDERS)]


MOVE_EXAMPLE = {
    "moved": [17],
    "unchanged": [],
    "refused": [
        {
            "order": 18,
            "code": "not-paid",
            "detail": "Order 18 is pending; only a paid order can be packed.",
        }
    ],
}


class Fulfilment(Controller):
    """The handlers that move orders, for staff."""

    path = "/api/orders"
    tags = ["Fulfilment"]
    guards = [accounts_http.require_staff]
    opt = accounts_http.FOR_ORDERS

    @post(
        "/fulfilment",
        **openapi.operation(
            "moveOrders",
            "Pack, deliver or take back orders",
            MoveView,
            MOVE_EXAMPLE,
            errors.Forbidden(accounts_http.STAFF_ONLY),
            *openapi.BODY_REFUSALS,
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
        ),
    )
    async def move_orders(
        self,
        request: bodies.ApiRequest,
        data: JSONBody[Move],
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Move up to 500 orders to a state of fulfilment. For staff.

        All orders that can move do; each of the others is `refused` with a `code`: `not-found`,
        `invalid-transition`, `not-paid` (only a paid order can be packed or delivered) or
        `cancel-requested`. A repetition changes nothing: the orders are `unchanged`. Each step is
        an event in the order's history.
        """

        async def work() -> MoveView:
            result = await transitions.move(
                data.orders,
                data.to,
                by=request.user.id,
                reason=data.reason,
                internal_note=data.internal_note,
            )
            refused = [RefusedOrder(**asdict(one)) for one in result.refused]
            return MoveView(result.moved, result.unchanged, refused)

        view, headers = await idempotency_http.answer_once(
            idempotency_key, request, work, MoveView, body=data
        )
        return bodies.JsonResponse(view, headers)
