"""What a search for orders looks for, and which indexes find its candidates."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from msgspec import Struct
from piccolo.columns import Column
from piccolo.columns.combination import And, Or, Where, WhereRaw
from piccolo.query import Select

from icecream import fields, settings
from icecream.reporting import day_ranges
from icecream.tables import Event, Order, Payment, User

# A search for a part of a name that more customers have is not specific enough.
MAX_CUSTOMERS = 20
# Few orders are in these states; the same texts as in the partial indexes.
EVENT_STATES = ("failed", "refunded", "canceled", "returned")
OPEN_STATUSES = ("pending", "refunding")
# Many orders are in these.
COMMON_FULFILMENTS = {"unfulfilled", "delivered"}
DAY_FIELDS = ("placed_from", "placed_to")
HAS_RARE_EVENT = WhereRaw(f'"event"."type" IN ({", ".join(repr(name) for name in EVENT_STATES)})')
IS_OPEN = WhereRaw("\"payment\".\"state\" IN ('new', 'sent', 'unknown', 'parked')")
IS_PACKED = WhereRaw('"orders"."fulfilment" = \'packed\'')
Condition = Where | WhereRaw | And | Or


class OrderSearch(Struct, frozen=True):
    """What the orders of a list have in common; the days are those of placing, both included."""

    text: str = ""
    customer: int | None = None
    statuses: tuple[str, ...] = ()
    fulfilments: tuple[str, ...] = ()
    placed_from: date | None = None
    placed_to: date | None = None
    delivery_date: date | None = None

    @property
    def has_totals(self) -> bool:
        """Whether the totals by day know the number and the sum of these orders."""
        return not (self.text or self.customer or self.fulfilments or self.delivery_date)


class CandidateSource(Struct, frozen=True):
    """A query for the ids of candidates, which an index answers in the order of ids, or of times.

    `covers` names the fields of the search whose conditions the query contains.
    """

    query: Select[Any]
    column: Column = Order.id
    covers: tuple[str, ...] = ()
    is_by_time: bool = False


def choose_sources(search: OrderSearch, customers: Sequence[int]) -> list[CandidateSource]:
    """Choose the indexes with the fewest candidates."""
    orders = Order.select(Order.id)
    if search.text:
        others = [Order.user == customer for customer in customers]
        matches = [*text_conditions(search.text), *others]
        return [CandidateSource(Order.select(Order.id).where(match)) for match in matches]
    if search.delivery_date:
        is_due = Order.delivery_date == search.delivery_date
        return [CandidateSource(orders.where(is_due), covers=("delivery_date",))]
    if search.customer:
        return [CandidateSource(orders.where(Order.user == search.customer), covers=("customer",))]
    if search.statuses and "paid" not in search.statuses:
        return _rare_sources(search.statuses)
    if search.fulfilments and not COMMON_FULFILMENTS & set(search.fulfilments):
        return _rare_sources(search.fulfilments)
    if search.placed_from or search.placed_to:
        days = [one for name in DAY_FIELDS if (one := _condition(search, name)) is not None]
        return [CandidateSource(orders.where(*days), covers=DAY_FIELDS, is_by_time=True)]
    return [CandidateSource(orders)]


def _rare_sources(wanted: Sequence[str]) -> list[CandidateSource]:
    """Return the sources for states in which few orders are."""
    sources = [
        CandidateSource(
            Event.select(Event.order)
            .where(HAS_RARE_EVENT, WhereRaw(f'"event"."type" = {name!r}'))
            .distinct(),
            Event.order,
        )
        for name in EVENT_STATES
        if name in wanted
    ]
    if set(OPEN_STATUSES) & set(wanted):
        sources.append(
            CandidateSource(Payment.select(Payment.order).where(IS_OPEN).distinct(), Payment.order)
        )
    if "packed" in wanted:
        sources.append(CandidateSource(Order.select(Order.id).where(IS_PACKED), Order.id))
    return sources


def text_conditions(text: str) -> list[Condition]:
    """Return the conditions of a text, without those for customers."""
    found: list[Condition] = [Order.reference == text]
    if text.isascii() and text.isdecimal() and int(text) <= fields.MAX_ID:
        found.append(Order.id == int(text))
    return found


async def find_customers(text: str) -> list[int]:
    """Return the ids of the customers with this text in their name."""
    if not text:
        return []
    pattern = text.lower().replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    has_text = WhereRaw('lower("users"."username") LIKE {} ESCAPE \'\\\'', f"%{pattern}%")
    rows = await User.select(User.id).where(has_text).order_by(User.id).limit(MAX_CUSTOMERS)
    return [row["id"] for row in rows]


def _condition(search: OrderSearch, name: str) -> Condition | None:
    """Return the condition of a field, if the search has it."""
    value = getattr(search, name)
    if not value:
        return None
    made: Condition
    match name:
        case "statuses":
            made = Order.status.is_in(list(value))
        case "fulfilments":
            made = Order.fulfilment.is_in(list(value))
        case "placed_from":
            made = Order.created_at >= start_of_day(value)
        case "placed_to":
            made = Order.created_at < start_of_day(value + timedelta(1))
        case _:
            made = {"customer": Order.user, "delivery_date": Order.delivery_date}[name] == value
    return made


def start_of_day(day: date) -> datetime:
    """Return when a day begins in the installation's time zone."""
    return day_ranges.start_of_day(day, settings.load().zone)


def conditions_of(search: OrderSearch, covered: Collection[str] = ()) -> list[Condition]:
    """Return the conditions of a search, without the text and the covered fields."""
    names = [name for name in OrderSearch.__struct_fields__ if name not in ("text", *covered)]
    return [one for name in names if (one := _condition(search, name)) is not None]
