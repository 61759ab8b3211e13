"""The page with the packing list of a day, for the screen and for paper."""

from datetime import date, timedelta
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import QueryParameter
from litestar.types import ASGIApp
from msgspec import Struct

from icecream import conversion, errors, fields, settings
from icecream.fulfilment import packing_list, transitions
from icecream.fulfilment.http import packing_views
from icecream.http import bodies, pagination
from icecream.pages import access, forms, once, rendering
from icecream.staff import orders

PATH = "/staff/packing/"
# Instead of a day: the orders without a delivery date.
NO_DATE = "none"
WantedDay = Annotated[str, QueryParameter(name="date", max_length=10)]
Key = Annotated[str, QueryParameter(max_length=255)]


def _parse_day(text: str) -> date | None:
    """Return the day of an address: by default today, and None without a delivery date.

    Raises:
        errors.ValidationFailed: it is no day.
    """
    if text == NO_DATE:
        return None
    return pagination.parse_day("date", text) if text else settings.today()


def _address(day: date | None, done: str) -> str:
    return f"{settings.load().prefix}{PATH}?date={day or NO_DATE}&done={done}"


def _unpacked(found: packing_list.PackingList) -> list[int]:
    """Return the first orders that are not packed, as many as one move may have."""
    numbers = [
        order.id
        for customer in found.customers
        for order in customer.orders
        if order.fulfilment == "unfulfilled"
    ]
    return numbers[: transitions.MAX_ORDERS_PER_MOVE]


@get("/")
async def show_list(
    visitor: access.SignedIn, day_text: WantedDay = "", done: Key = ""
) -> Response[str]:
    """Return the page; `done` is the key of the last form."""
    day = _parse_day(day_text)
    found = await packing_list.load(day, zone=settings.load().zone)
    today = settings.today()
    days = {"Today": today, "Tomorrow": today + timedelta(1), "Without a date": None}
    page = rendering.render(
        "staff/packing.html",
        visitor=visitor,
        found=found,
        day=day,
        days=days,
        no_date=NO_DATE,
        unpacked=_unpacked(found),
        max_orders=transitions.MAX_ORDERS_PER_MOVE,
        key=once.new_key(),
        message=await once.read_message(visitor, done),
    )
    return rendering.html_response(page)


@get("/list.csv")
async def download_list(visitor: access.SignedIn, day_text: WantedDay = "") -> ASGIApp:
    """Return one row for each line of each order, as CSV."""
    day = _parse_day(day_text)
    found = await packing_list.load(day, zone=settings.load().zone)
    text = packing_views.orders_to_csv(found)
    name = f"packing-list-{day or 'without-date'}.csv"
    return bodies.CsvFile(text, name)


class _Packed(Struct):
    orders: list[fields.Id]
    date: str = ""


@post("/packed/")
async def mark_packed(
    request: access.Call, visitor: access.SignedIn, state: State
) -> Response[Any]:
    """Mark the orders packed that the list had, not those that came later."""
    sent = await forms.read_own_fields(request, visitor)
    numbers = str(sent.get("orders", "")).split(",")
    packed = conversion.convert_body({"orders": numbers, "date": sent.get("date", "")}, _Packed)
    if len(packed.orders) > transitions.MAX_ORDERS_PER_MOVE:
        raise errors.ValidationFailed("/orders", "invalid", "These are too many orders.")
    day = _parse_day(packed.date)

    async def work() -> tuple[str, list[int]]:
        result = await transitions.move(packed.orders, "packed", by=visitor.user.id)
        return orders.describe_moves(result, "packed"), []

    key = await once.carry_out(
        work, path=f"{PATH}packed/", fields=sent, visitor=visitor, state=state
    )
    return rendering.redirect(_address(day, key))


router = access.router("/staff/packing", [show_list, download_list, mark_packed], staff=True)
