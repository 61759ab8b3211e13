"""Changes of an order after it is placed, over HTTP: cancel, pay again, refund."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Literal

from litestar import Controller, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from icecream import constraints, errors, fields, settings, states
from icecream.accounts import http as accounts_http
from icecream.http import bodies, openapi
from icecream.idempotency import http as idempotency_http
from icecream.orders import actions, ordered_lines
from icecream.orders.http import requests, responses
from icecream.orders.refunded_goods import RefundedGoods

CANCEL_REFUSED = errors.InvalidTransition("failed", "canceled", states.ORDER["failed"])
PAY_REFUSED = errors.InvalidTransition("canceled", "pending", states.ORDER["canceled"])
REFUND_REFUSED = errors.InvalidTransition("pending", "refunded", states.ORDER["pending"])
CANCELED_EXAMPLE = responses.DETAIL_EXAMPLE | {"status": "canceled", "actions": []}
# A test compares it with the table's words.
ReasonCode = Literal["melted", "missing", "damaged", "wrong-item", "other"]
REFUNDING_EXAMPLE = responses.DETAIL_EXAMPLE | {"status": "refunding", "actions": ["cancel"]}


class LineToRefund(fields.Body):
    """A quantity of one flavor of the order, at the price of its line."""

    quantity: requests.Quantity
    flavor: requests.Flavor


class NewRefund(fields.Body):
    """The reason, and an `amount` in minor units, or `lines`; without both, all that is left.

    `restock` puts the goods of the lines back into the stock. Without lines, it puts all goods back
    that were not refunded, together with a refund of all that is left.
    """

    reason: fields.ShownReason
    internal_note: fields.InternalNote | None = None
    amount: Annotated[int, Meta(ge=1, le=responses.MAX_TOTAL, examples=[250])] | None = None
    reason_code: Annotated[ReasonCode, Meta(examples=["melted"])] | None = None
    lines: (
        Annotated[
            list[LineToRefund],
            Meta(
                min_length=1,
                max_length=ordered_lines.MAX_LINES,
                examples=[[{"quantity": 1, "flavor": 1}]],
            ),
        ]
        | None
    ) = None
    restock: bool = False

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")
        if self.amount is not None:
            fields.require_chargeable("amount", self.amount)
            if self.lines is not None:
                raise constraints.InvalidValue("amount", "cannot be combined with lines")
            if self.restock:
                raise constraints.InvalidValue("restock", "cannot be combined with amount")
        chosen = [line.flavor for line in self.lines or ()]
        if len(set(chosen)) < len(chosen):
            raise constraints.InvalidValue("lines", "must name each flavor once")

    @property
    def goods(self) -> RefundedGoods:
        """The goods that the refund is about."""
        lines = [(line.flavor, line.quantity) for line in self.lines or ()]
        return RefundedGoods(self.reason_code, lines, self.restock)


class OrderChange(Struct):
    """The changed order and the payments to be carried out; stored with the key."""

    order_id: int
    payments: list[int]


class OrderActions(Controller):
    """The handlers that change an order."""

    path = "/api/orders/{order:int}"
    tags = ["Orders"]
    guards = [bodies.require_exact_ids]

    @post(
        "/cancel",
        opt=accounts_http.FOR_ORDERS,
        **openapi.operation(
            "cancelOrder",
            "Cancel an order",
            responses.OrderDetail,
            CANCELED_EXAMPLE,
            errors.NotFound(),
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            CANCEL_REFUSED,
            errors.AlreadyPacked("The order is packed.", fulfilment="packed"),
            errors.AlreadyRestocked(),
            also=openapi.success(202, responses.OrderDetail, REFUNDING_EXAMPLE),
        ),
    )
    async def cancel_order(
        self,
        request: bodies.ApiRequest,
        order: bodies.PathId,
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Cancel an order: the paid amount is refunded, and then the stock is released.

        200: the order is canceled. 202: it will be canceled when its payment or its refund has
        ended. Canceling a canceled order has no effect. An order that is packed, delivered or
        returned cannot be canceled: it can be refunded.
        """
        await responses.get_order(order, user=request.user)
        stage = partial(actions.cancel_order, order, by=request.user.id)
        return await _change(order, stage, request, state, idempotency_key, done="canceled")

    @post(
        "/pay",
        opt=accounts_http.FOR_ORDERS,
        **openapi.operation(
            "payOrder",
            "Pay an order again",
            responses.OrderDetail,
            responses.DETAIL_EXAMPLE | {"status": "paid"},
            errors.NotFound(),
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            PAY_REFUSED,
            errors.InsufficientStock(lines=[{"flavor": 1, "quantity": 3, "available": 2}]),
            errors.PaymentMethodRequired(),
            errors.FlavorArchived("Flavor 2 is no longer sold."),
            also=openapi.success(202, responses.OrderDetail, responses.DETAIL_EXAMPLE),
        ),
    )
    async def pay_order(
        self,
        request: bodies.ApiRequest,
        order: bodies.PathId,
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Charge a failed order again; its stock is reserved again.

        200: the order is already paid. 202: its payment is in progress.
        """
        await responses.get_order(order, user=request.user)
        needs_method = settings.load().needs_payment_method
        stage = partial(actions.pay_order, order, by=request.user.id, needs_method=needs_method)
        return await _change(order, stage, request, state, idempotency_key, done="paid")

    @post(
        "/refund",
        opt=accounts_http.FOR_ORDERS,
        guards=[accounts_http.require_staff],
        **openapi.operation(
            "refundOrder",
            "Refund an order",
            responses.OrderDetail,
            REFUNDING_EXAMPLE,
            errors.NotFound(),
            *openapi.BODY_REFUSALS,
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            errors.Forbidden(accounts_http.STAFF_ONLY),
            REFUND_REFUSED,
            errors.RefundInProgress(),
            errors.RefundTooLarge("Only 2.50 EUR is left.", left=250),
            errors.RefundedQuantityTooLarge(lines=[{"flavor": 1, "quantity": 3, "available": 2}]),
            errors.ValidationFailed(
                "/lines/0/flavor", "unknown-line", "The order has no line of flavor 3."
            ),
            status=202,
        ),
    )
    async def refund_order(
        self,
        request: bodies.ApiRequest,
        order: bodies.PathId,
        data: JSONBody[NewRefund],
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Refund part of the paid amount, some lines, or all that is left. For staff.

        Stock does not change unless `restock` puts the goods back. A `reason_code` says in one word
        what was wrong.

        A canceled order can be refunded if its refund failed after it had succeeded.
        """
        user = request.user.id
        stage = partial(
            actions.refund_order,
            order,
            data.amount,
            reason=data.reason,
            by=user,
            internal_note=data.internal_note,
            goods=data.goods,
        )
        return await _change(order, stage, request, state, idempotency_key, body=data)


async def _change(
    order: int,
    stage: Callable[[], Awaitable[list[int]]],
    request: bodies.ApiRequest,
    state: State,
    key: str | None,
    *,
    body: Struct = idempotency_http.NO_BODY,
    done: str | None = None,
) -> ASGIApp:
    """Stage payments once, notify the workers, and return the order: 200 if done, else 202."""

    async def work() -> OrderChange:
        return OrderChange(order, await stage())

    changed, headers = await idempotency_http.answer_once(
        key, request, work, OrderChange, body=body
    )
    await state.notify_workers(changed.payments)
    view = await responses.get_order(changed.order_id, user=request.user)
    return bodies.JsonResponse(view, headers, status=200 if view.status == done else 202)
