"""The page with the list of orders: search, filters, and steps for several orders."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlencode

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.response import Stream
from msgspec import Meta, Struct

from icecream import constraints, conversion, errors, fields, settings, states
from icecream.accounts import tokens
from icecream.fulfilment import transitions
from icecream.http import pagination
from icecream.orders.http import csv_export, filters
from icecream.pages import access, forms, once, rendering
from icecream.staff import order_search, order_sources
from icecream.staff.order_search import FoundOrders, OrderTotals
from icecream.staff.order_sources import OrderSearch

PATH = "/staff/orders/"
MAX_TEXT_LENGTH = 100
# The parameters of a search; those that can be repeated are lists.
TEXTS = ("search", "customer", "placed_from", "placed_to", "delivery_date")
LISTS = ("status", "fulfilment")
PLACES = ("older_than", "newer_than")
PARAMETERS = (*TEXTS, *LISTS, *PLACES, "totals", once.DONE_PARAMETER)
# The steps that the page offers for several orders at once.
BULK_STEPS = {"packed": "Mark packed", "delivered": "Mark delivered"}


class ListQuery(Struct, frozen=True):
    """The query of the page: the search, and the place in the list."""

    search: OrderSearch = OrderSearch()
    older_than: int | None = None
    newer_than: int | None = None
    with_totals: bool = False


def _parse_id(name: str, text: str | None, most: int = fields.MAX_ID) -> int | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text) or int(text) > most:
        raise pagination.invalid_parameter(name, "must be a number")
    return int(text)


def _parse_text(text: str) -> str:
    text = text.strip()
    # PostgreSQL stores no text with such characters.
    if len(text) > MAX_TEXT_LENGTH or (text and not re.search(fields.LINE_PATTERN, text)):
        limit = f"must be text with at most {MAX_TEXT_LENGTH} characters"
        raise pagination.invalid_parameter("search", limit)
    return text


def parse_query(values: Mapping[str, list[str]]) -> ListQuery:
    """Return the query of the page; a parameter without a value counts as not given.

    Raises:
        errors.UnknownParameter: there is no such parameter.
        errors.ValidationFailed: a value is not possible.
    """
    for name in values:
        if name not in PARAMETERS:
            raise errors.UnknownParameter(name, constraints.suggest_name(name, PARAMETERS))
    given = {name: [one for one in some if one] for name, some in values.items()}
    single = {name: some[0] for name, some in given.items() if some}
    search = OrderSearch(
        text=_parse_text(single.get("search", "")),
        customer=_parse_id("customer", single.get("customer"), tokens.MAX_USER_ID),
        statuses=pagination.parse_choices("status", given.get("status"), states.ORDER),
        fulfilments=pagination.parse_choices(
            "fulfilment", given.get("fulfilment"), states.FULFILMENT
        ),
        placed_from=pagination.parse_day("placed_from", single.get("placed_from")),
        placed_to=pagination.parse_day("placed_to", single.get("placed_to")),
        delivery_date=pagination.parse_day("delivery_date", single.get("delivery_date")),
    )
    _require_days(search)
    places = {name: _parse_id(name, single.get(name)) for name in PLACES}
    return ListQuery(search, **places, with_totals="totals" in single)


def _require_days(search: OrderSearch) -> None:
    for name in ("placed_from", "placed_to"):
        day = getattr(search, name)
        # The first and the last days of the calendar have no neighbors.
        if day is not None and not 2 <= day.year <= 9998:
            raise pagination.invalid_parameter(name, "must be a day in the years 2 to 9998")


def query_of(search: OrderSearch, **more: Any) -> str:
    """Return the query string of a search."""
    values = {
        "search": search.text,
        "customer": search.customer,
        "status": search.statuses,
        "fulfilment": search.fulfilments,
        "placed_from": search.placed_from,
        "placed_to": search.placed_to,
        "delivery_date": search.delivery_date,
    } | more
    return "?" + urlencode({name: one for name, one in values.items() if one}, doseq=True)


class ListView(Struct):
    """The list as the page shows it."""

    query: ListQuery
    page: FoundOrders
    totals: OrderTotals | None
    error: str = ""


async def _build(query: ListQuery, error: str = "") -> ListView:
    search = query.search
    page = await order_search.read_page(
        search, older_than=query.older_than, newer_than=query.newer_than
    )
    wanted = query.with_totals or search.has_totals
    return ListView(query, page, await order_search.read_totals(search) if wanted else None, error)


def _render(visitor: access.Visitor, view: ListView, message: str, status: int) -> Response[str]:
    page = rendering.render(
        "staff/orders.html",
        visitor=visitor,
        view=view,
        search=view.query.search,
        query_of=query_of,
        currency=settings.load().currency,
        statuses=list(states.ORDER),
        fulfilments=list(states.FULFILMENT),
        bulk_steps=BULK_STEPS,
        most=sum(order_search.WINDOWS),
        message=message,
    )
    return rendering.html_response(page, status)


@get("/", any_query=True)
async def show_orders(request: access.Call, visitor: access.SignedIn) -> Response[Any]:
    """Return the page."""
    status, error, query = 200, "", ListQuery()
    try:
        query = parse_query(request.query_params.dict())
    except (errors.UnknownParameter, errors.ValidationFailed) as refusal:
        status, error = 400, refusal.detail
    view = await _build(query, error)
    message = await once.read_message(visitor, request.query_params.get(once.DONE_PARAMETER))
    return _render(visitor, view, message, status)


def to_filter(search: OrderSearch) -> filters.OrderFilter:
    """Return the filter of the API for a search without a text.

    Raises:
        errors.ValidationFailed: the search has a text, for which there is no such filter.
    """
    if search.text:
        raise pagination.invalid_parameter("search", "cannot be combined with a file")
    first, last = search.placed_from, search.placed_to
    end = last + timedelta(1) if last else None
    return filters.OrderFilter(
        search.customer,
        status=search.statuses,
        fulfilment=search.fulfilments,
        created_from=order_sources.start_of_day(first) if first else None,
        created_to=order_sources.start_of_day(end) if end else None,
        delivery_date=search.delivery_date,
    )


@get("/file.csv", any_query=True)
async def download_orders(request: access.Call, visitor: access.SignedIn) -> Stream:
    """Return the orders of the list as CSV, the oldest first."""
    order_filter = to_filter(parse_query(request.query_params.dict()).search)
    file = await csv_export.stream_orders(order_filter, "orders.csv")
    file.headers.update(rendering.HEADERS)
    return file


class BulkMove(Struct):
    """The orders that were selected, the state `to` which they move, and the search to return to.

    `confirmed` is missing in the first step, which asks.
    """

    to: Literal["packed", "delivered"]
    orders: Annotated[
        list[fields.Id], Meta(min_length=1, max_length=transitions.MAX_ORDERS_PER_MOVE)
    ]
    back: str = ""
    key: str = ""
    confirmed: bool = False


def _parse_move(sent: Mapping[str, Any]) -> BulkMove:
    orders = sent.get("orders")
    if orders is None:
        raise errors.ValidationFailed("/orders", "required", "Select at least one order.")
    wanted = orders if isinstance(orders, list) else [orders]
    return conversion.convert_body({**sent, "orders": wanted}, BulkMove)


def describe_moves(result: transitions.MoveResult, to: str) -> str:
    """Return a message about the orders that were moved, and about those that were not."""
    count = len(result.moved)
    parts = [f"{count} order{'' if count == 1 else 's'} marked {to}."]
    if result.unchanged:
        parts.append(f"Already {to}: {', '.join(map(str, result.unchanged))}.")
    return " ".join([*parts, *(one.detail for one in result.refused)])


@post("/move/", status_code=200)
async def move_orders(
    request: access.Call, visitor: access.SignedIn, state: State
) -> Response[Any]:
    """Ask whether these orders are to move, and then move those that can."""
    sent = await forms.read_own_fields(request, visitor)
    move = _parse_move(sent)
    search = parse_query(parse_qs(move.back.removeprefix("?"))).search
    if not move.confirmed:
        return await _ask(visitor, move)

    async def work() -> tuple[str, list[int]]:
        result = await transitions.move(move.orders, move.to, by=visitor.user.id)
        return describe_moves(result, move.to), []

    key = await once.carry_out(work, path=f"{PATH}move/", fields=sent, visitor=visitor, state=state)
    return rendering.redirect(f"{settings.load().prefix}{PATH}{query_of(search, done=key)}")


async def _ask(visitor: access.Visitor, move: BulkMove) -> Response[str]:
    page = rendering.render(
        "staff/move-orders.html",
        visitor=visitor,
        move=move,
        label=BULK_STEPS[move.to],
        orders=await order_search.read_orders(move.orders),
        currency=settings.load().currency,
        key=once.new_key(),
    )
    return rendering.html_response(page)


router = access.router("/staff/orders", [show_orders, download_orders, move_orders], staff=True)
