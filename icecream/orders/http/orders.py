"""Placing orders and following them, over HTTP."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import HeaderParameter, JSONBody
from litestar.types import ASGIApp
from msgspec import to_builtins
from msgspec.structs import asdict

from icecream import errors, settings
from icecream.accounts import http as accounts_http
from icecream.catalogue import inventory
from icecream.feed import waiting
from icecream.http import bodies, openapi, pagination
from icecream.idempotency import http as idempotency_http
from icecream.orders.http import csv_export, filters, requests, responses

LINE_REFUSALS = (
    errors.ValidationFailed(
        "/quantity", "invalid", "quantity must be a whole number from 1 to 100000."
    ),
    errors.InsufficientStock(lines=[{"flavor": 1, "quantity": 3, "available": 2}]),
)
FORMATS = ("json", "csv")
METHOD_REQUIRED = errors.PaymentMethodRequired()


class Orders(Controller):
    """The handlers for placing and reading orders."""

    path = "/api"
    tags = ["Orders"]

    @post(
        "/orders",
        opt=accounts_http.FOR_ORDERS,
        **openapi.operation(
            "placeOrder",
            "Place an order",
            responses.OrderPlaced,
            responses.PLACED_EXAMPLE,
            *openapi.BODY_REFUSALS,
            *LINE_REFUSALS,
            *openapi.IDEMPOTENCY_KEY_REFUSALS,
            METHOD_REQUIRED,
        ),
    )
    async def place_order(
        self,
        request: bodies.ApiRequest,
        data: JSONBody[requests.NewOrder],
        idempotency_key: openapi.IdempotencyKeyHeader = None,
        prefer: Annotated[
            str | None,
            HeaderParameter(
                name="Prefer",
                description="`wait=N`: wait until the payment has ended, for N seconds (RFC 7240).",
                max_length=255,
                schema_extra={"pattern": r"^[^\r\n]*$", "examples": ["wait=10"]},
            ),
        ] = None,
    ) -> ASGIApp:
        """Place an order for one or several flavors. The payment follows in the background.

        With `Prefer: wait=N` (at most 30), the response follows when the order is paid or failed,
        or after N seconds, and contains the `order`.
        """
        # Not a parameter, because Litestar would copy the state for each request.
        state = request.app.state
        user, seconds = request.user, waiting.parse_wait_preference(prefer)
        key = idempotency_http.read_key(idempotency_key, request, data)
        lines = await data.read_lines()
        try:
            placed = await state.order_placer.place(
                user.id, lines.quantities, key, user.payment_method, data.details
            )
        except inventory.LineRefused as error:
            raise lines.explain(error) from None
        answer = responses.OrderPlaced(**asdict(placed.receipt))
        headers = idempotency_http.replay_headers(replayed=placed.replayed)
        if seconds is not None and await state.settlement_waiters.wait_until_settled(
            placed.order, seconds, user=user.id
        ):
            headers["Preference-Applied"] = f"wait={seconds}"
            answer.order = await responses.get_order(placed.order, user=user)
        return bodies.JsonResponse(answer, headers)

    @post(
        "/orders/quote",
        opt=accounts_http.FOR_ORDERS,
        **openapi.operation(
            "quoteOrder",
            "Get a quote",
            responses.Quote,
            responses.QUOTE_EXAMPLE,
            *openapi.BODY_REFUSALS,
            *LINE_REFUSALS,
        ),
    )
    async def quote_order(self, data: JSONBody[requests.NewOrder]) -> responses.Quote:
        """Get the price of an order, or the reason why it would be refused. Nothing is stored."""
        ordered = await data.read_lines()
        data.details.require_possible_date(datetime.now(UTC))
        stock = await inventory.read_stock(ordered.quantities)
        try:
            stock.require_allowed(ordered.quantities, settings.today())
            lines = stock.reserve(ordered.quantities)
        except inventory.LineRefused as error:
            raise ordered.explain(error) from None
        shown = [responses.LineView(line.flavor, line.quantity, line.unit_price) for line in lines]
        return responses.Quote(
            quantity=sum(line.quantity for line in lines),
            flavor=responses.single_flavor(shown),
            lines=shown,
            total=sum(line.total for line in lines),
            currency=settings.load().currency,
        )

    @get(
        "/orders/states",
        **openapi.operation(
            "listStates",
            "List the states and transitions",
            responses.StateTable,
            to_builtins(responses.STATE_TABLE),
        ),
    )
    async def list_states(self) -> responses.StateTable:
        """Get the statuses of orders and the states of payments, with their allowed transitions."""
        return responses.STATE_TABLE

    @get(
        "/orders/{order:int}",
        guards=[bodies.require_exact_ids],
        **openapi.operation(
            "getOrder",
            "Get an order",
            responses.OrderDetail,
            responses.DETAIL_EXAMPLE,
            errors.NotFound(),
        ),
    )
    async def get_order(
        self, request: bodies.ApiRequest, order: bodies.PathId
    ) -> responses.OrderDetail:
        """Get one of your orders, with the allowed actions and its history."""
        return await responses.get_order(order, user=request.user)

    @get(
        ["/orders", "/my-orders"],
        dependencies={"order_filter": Provide(filters.parse_filter, sync_to_thread=False)},
        **openapi.operation(
            lambda handler, method, path: "listOrders" if path[-1] == "orders" else "listMyOrders",
            "List your orders",
            list[responses.OrderView],
            [responses.ORDER_EXAMPLE],
            pagination.INVALID_CURSOR,
            errors.Forbidden("Only staff may see the orders of other users."),
            kind=csv_export.ListOperation,
        ),
    )
    async def list_orders(
        self,
        request: bodies.ApiRequest,
        order_filter: NamedDependency[filters.OrderFilter],
        limit: pagination.Limit = None,
        after: pagination.After = None,
        count: pagination.Count = None,
        format_: Annotated[
            str | None,
            pagination.choice(
                "FileFormat",
                FORMATS,
                "`csv`: the whole answer as a file for spreadsheets.",
                name="format",
            ),
        ] = None,
    ) -> ASGIApp:
        """List your orders, oldest first: all of them, or one page with `limit`.

        `/api/orders/` and `/api/my-orders/` return the same.
        """
        if pagination.parse_choice("format", format_, FORMATS) == "csv":
            csv_export.require_whole_list(request.query_params)
            file = await csv_export.stream_orders(order_filter, "orders.csv")
            return file.to_asgi_response(None, request)

        async def read(start: pagination.Cursor | None, most: int) -> pagination.Page:
            return await filters.SHARED_PAGES.read((order_filter, start, most))

        return await pagination.list_response(
            request,
            read,
            sort=order_filter.sort,
            limit=limit,
            after=after,
            count=partial(filters.count_orders, order_filter) if count else None,
        )
