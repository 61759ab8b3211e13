"""The pages for flavors: the list, and a new flavor."""

from datetime import UTC, date, datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.params import FromQuery, QueryParameter
from msgspec import Struct

from icecream import errors, settings
from icecream.catalogue import flavors
from icecream.catalogue.flavors import FlavorRow
from icecream.http import pagination
from icecream.pages import access, forms, rendering
from icecream.reporting import current
from icecream.staff import flavor, flavor_form

Search = Annotated[str, QueryParameter(max_length=100)]
# A list that people still read; the search finds the others.
MAX_SHOWN = 200
SHOWN = {"sold": "Sold", "archived": "Archived", "all": "All"}


class ListedFlavor(Struct, frozen=True):
    """A flavor in the list, and its state today."""

    flavor: FlavorRow
    state: str
    is_low: bool


def _state(row: FlavorRow, today: date) -> str:
    if row.archived:
        return "archived"
    return "on sale" if row.is_on_sale(today) else "out of season"


def _is_found(row: FlavorRow, text: str) -> bool:
    return text.casefold() in f"{row.name}\n{row.sku or ''}".casefold()


async def _list(text: str, shown: str) -> list[ListedFlavor]:
    """Return the flavors with this text in their name or SKU, by name."""
    today, stocks = settings.today(), await current.load_stock(datetime.now(UTC).date())
    low = {one.flavor for one in stocks if current.is_low(one)}
    found = [
        ListedFlavor(row, _state(row, today), row.id in low)
        for row in await flavors.list_rows()
        if _is_found(row, text) and (shown == "all" or row.archived is (shown == "archived"))
    ]
    return sorted(found, key=lambda one: (one.flavor.name.casefold(), one.flavor.id))


@get("/")
async def list_flavors(
    visitor: access.SignedIn, q: Search = "", show: FromQuery[str] = "sold"
) -> Response[str]:
    """Return the list."""
    pagination.parse_choice("show", show, SHOWN)
    found = await _list(q.strip(), show)
    page = rendering.render(
        "staff/flavors.html",
        visitor=visitor,
        found=found[:MAX_SHOWN],
        count=len(found),
        text=q.strip(),
        show=show,
        shown=SHOWN,
        currency=settings.load().currency,
    )
    return rendering.html_response(page)


def _new_page(
    visitor: access.Visitor, shown: flavor_form.ShownFlavor, status: int = 200
) -> Response[str]:
    page = rendering.render(
        "staff/new-flavor.html",
        visitor=visitor,
        shown=shown,
        groups=flavor_form.GROUPS,
        choices=flavor_form.choices,
        currency=settings.load().currency,
    )
    return rendering.html_response(page, status)


@get("/new/")
async def show_new_flavor(visitor: access.SignedIn) -> Response[str]:
    """Return the form for a new flavor."""
    return _new_page(visitor, flavor_form.ShownFlavor(texts=flavor_form.empty_texts()))


@post("/new/")
async def add_flavor(request: access.Call, visitor: access.SignedIn) -> Response[Any]:
    """Add a flavor."""
    sent = await forms.read_own_fields(request, visitor)
    values, problems = flavor_form.read(sent, with_stock=True)
    if problems:
        return _new_page(visitor, flavor_form.ShownFlavor(texts=sent, problems=problems), 400)
    try:
        added = await flavors.create_flavor(flavors.NewFlavor(**values), by=visitor.user)
    except errors.Refusal as refusal:
        return _new_page(visitor, flavor_form.refused(sent, refusal), refusal.status)
    return rendering.redirect(flavor_form.page_address(added.id, "added"))


router = access.router(
    "/staff/flavors",
    [list_flavors, show_new_flavor, add_flavor, *flavor.HANDLERS],
    staff=True,
)
