"""Test the pages for flavors: the list, the form with its problems, stock and history."""

from typing import Any

import httpx
import msgspec
import pytest

from icecream import settings
from icecream.catalogue import flavors, inventory
from icecream.reporting import current
from icecream.tables import Flavor, StockMove
from tests.conftest import Caller, new_flavor, new_user
from tests.staff.browsing import Browser, browse, hidden, messages, value_of

pytestmark = pytest.mark.anyio
LIST = "/staff/flavors/"


@pytest.fixture
async def browser(client: httpx.AsyncClient, hashed: str) -> Browser:
    return await browse(client, await new_user(hashed, admin=True))


def page_of(flavor: int) -> str:
    return f"{LIST}{flavor}/"


async def form_of(browser: Browser, flavor: int) -> dict[str, Any]:
    """Return the required fields of a flavor's form as a browser would send them."""
    page = await browser.get(page_of(flavor))
    shown = {name: value_of(page, name) for name in ("name", "price")}
    return shown | {"version": hidden(page, "version")}


async def saved(flavor: int) -> flavors.FlavorView:
    return (await flavors.get_flavor(flavor))[0]


async def new_product(name: str, **values: Any) -> int:
    flavor = await new_flavor(**{key: values.pop(key) for key in ("stock",) if key in values})
    await Flavor.update(name=f"{name} {flavor}", **values).where(Flavor.id == flavor)
    return flavor


async def test_the_list_shows_price_stock_and_season(browser: Browser, staff: Caller) -> None:
    flavor = await new_product("Listed", stock=3, price=1_234_50, sku="LIST-1")
    await Flavor.update({"low_stock_threshold": 3, "unit": "case", "pack_size": 6}).where(
        Flavor.id == flavor
    )
    text = (await browser.get(f"{LIST}?q=list-1")).text
    row = text[text.index("<tbody>") : text.index("</tbody>")]
    assert f"Listed {flavor}" in row and "1,234.50" in row and "case of 6" in row
    assert '3 <strong class="bad">low</strong>' in row
    assert "all year" in row and "on sale" in row
    assert row.count("<tr>") == 1
    await inventory.receive_stock(flavor, -3, reason="melted", by=staff.user.id)
    assert '0 <strong class="bad">sold out</strong>' in (await browser.get(f"{LIST}?q=list-1")).text


async def test_archived_flavors_are_in_a_list_of_their_own(browser: Browser) -> None:
    flavor = await new_product("Gone", archived=True)
    assert f"Gone {flavor}" not in (await browser.get(LIST)).text
    assert f"Gone {flavor}" in (await browser.get(f"{LIST}?show=archived&q=gone")).text
    assert f"Gone {flavor}" in (await browser.get(f"{LIST}?show=all&q=GONE")).text
    assert (await browser.get(f"{LIST}?show=some")).status_code == 400


async def test_all_fields_are_edited_as_people_write_them(browser: Browser) -> None:
    flavor = await new_flavor()
    form = await form_of(browser, flavor)
    sent = form | {
        "name": f"Edited {flavor}",
        "sku": f"E-{flavor}",
        "description": "Two\r\nlines.",
        "price": "2.60",
        "unit": "tub",
        "pack_size": "6",
        "net_content_ml": "5000",
        "on_sale_from": "2026-05-01",
        "on_sale_to": "2026-09-30",
        "min_quantity": "2",
        "quantity_multiple": "2",
        "low_stock_threshold": "10",
        "allergens": ["nuts", "milk"],
    }
    answer = await browser.send(page_of(flavor), **sent)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"{page_of(flavor)}?done=saved",
    )
    found = msgspec.to_builtins(await saved(flavor))
    assert found["price"] == 260 and found["description"] == "Two\nlines."
    assert found["allergens"] == ["milk", "nuts"] and found["pack_size"] == 6
    page = await browser.get(answer.headers["location"])
    assert messages(page) == ["The changes are saved."]
    assert value_of(page, "on_sale_from") == "2026-05-01"
    assert page.text.count(" checked") == 2
    # The history says who changed what, with the price as people write it.
    assert browser.user.username in page.text and "2.60\N{NO-BREAK SPACE}EUR" in page.text


async def test_empty_fields_remove_the_values(browser: Browser) -> None:
    flavor = await new_product("Emptied", sku="EMPTY-1", min_quantity=6)
    await Flavor.update({"allergens": '["milk"]'}).where(Flavor.id == flavor)
    await browser.send(page_of(flavor), **await form_of(browser, flavor), sku="", min_quantity="")
    found = await saved(flavor)
    assert (found.sku, found.min_quantity, found.allergens) == (None, None, None)
    await browser.send(page_of(flavor), **await form_of(browser, flavor), allergens="none")
    assert (await saved(flavor)).allergens == []


@pytest.mark.parametrize(
    ("field", "text", "problem"),
    [
        ("price", "2,6", "Price must be an amount in EUR, such as 2.60."),
        ("price", "", "Price is required."),
        ("name", " ", "Name is required."),
        ("sku", "a b", "SKU must be text of 1 to 64 characters without spaces."),
        ("pack_size", "1e3", "Pieces in a unit must be a whole number from 1 to 100000."),
        ("unit", "box", "Unit must be one of tub, litre, case, piece."),
        ("on_sale_to", "2026-02-30", "On sale to must be a day, such as 2025-05-13."),
        ("allergens", ["milk", "none"], "Clear the other boxes, or none."),
    ],
)
async def test_a_problem_is_shown_at_its_field_and_the_typed_values_stay(
    browser: Browser, field: str, text: Any, problem: str
) -> None:
    flavor = await new_flavor()
    before = await saved(flavor)
    sent = await form_of(browser, flavor) | {"min_quantity": "17", field: text}
    answer = await browser.send(page_of(flavor), **sent)
    assert answer.status_code == 400
    assert messages(answer) == ["Nothing is saved yet. Correct the marked field.", problem]
    assert value_of(answer, "min_quantity") == "17"
    assert await saved(flavor) == before


async def test_all_problems_are_shown_at_once(browser: Browser) -> None:
    flavor = await new_flavor()
    sent = await form_of(browser, flavor) | {"price": "x", "pack_size": "0"}
    answer = await browser.send(page_of(flavor), **sent)
    assert len(messages(answer)) == 3
    assert value_of(answer, "price") == "x" and answer.text.count('aria-invalid="true"') == 2


async def test_a_season_that_ends_before_it_begins_is_refused(browser: Browser) -> None:
    flavor = await new_flavor()
    season = {"on_sale_from": "2026-05-02", "on_sale_to": "2026-05-01"}
    answer = await browser.send(page_of(flavor), **await form_of(browser, flavor), **season)
    assert messages(answer)[1] == "On sale to must not be before On sale from (2026-05-02)."


async def test_a_taken_name_and_a_taken_sku_are_said_at_their_fields(browser: Browser) -> None:
    flavor, other = await new_flavor(), await new_product("Taken", sku="TAKEN-1")
    form = await form_of(browser, flavor)
    answer = await browser.send(page_of(flavor), **form | {"name": f"Taken {other}"})
    assert answer.status_code == 409 and messages(answer)[1] == "This name is taken."
    answer = await browser.send(page_of(flavor), **form, sku="TAKEN-1")
    assert messages(answer)[1] == "Another flavor has the article number TAKEN-1."


async def test_two_editors_do_not_overwrite_each_other(browser: Browser) -> None:
    flavor = await new_flavor()
    first, second = await form_of(browser, flavor), await form_of(browser, flavor)
    await browser.send(page_of(flavor), **first | {"price": "9.90"})
    answer = await browser.send(page_of(flavor), **second | {"sku": f"SECOND-{flavor}"})
    assert answer.status_code == 409
    alarm, *differences = messages(answer)
    assert alarm.startswith("Someone else changed this flavor")
    assert differences == ["Saved: nothing", "Saved: 9.90"]
    assert (await saved(flavor)).price == 990
    # Now the editor has seen the other change, and decides.
    version = hidden(answer, "version")
    again = second | {"sku": f"SECOND-{flavor}", "price": "9.90", "version": version}
    assert (await browser.send(page_of(flavor), **again)).status_code == 303
    assert (await saved(flavor)).sku == f"SECOND-{flavor}"


async def test_a_form_that_is_sent_twice_receives_stock_once(browser: Browser) -> None:
    flavor = await new_flavor(stock=5)
    receipt = {"quantity": "7", "reason": "delivery 9"}
    receipt["key"] = hidden(await browser.get(page_of(flavor)), "key")
    for _ in range(2):
        answer = await browser.send(f"{page_of(flavor)}stock/", **receipt)
        assert answer.headers["location"] == f"{page_of(flavor)}?done=received"
    assert (await saved(flavor)).stock == 12
    page = (await browser.get(page_of(flavor))).text
    assert "<strong>+7</strong> delivery 9" in page


@pytest.mark.parametrize(
    ("receipt", "problem"),
    [
        ({"quantity": "-6", "reason": "melted"}, "Only 5 are left."),
        ({"quantity": "0", "reason": "x"}, "Quantity must not be 0."),
        ({"quantity": "1.5", "reason": "x"}, "Quantity must be a whole number from"),
        ({"quantity": "1"}, "Reason is required."),
    ],
)
async def test_a_wrong_receipt_changes_nothing(
    browser: Browser, receipt: dict[str, str], problem: str
) -> None:
    flavor = await new_flavor(stock=5)
    answer = await browser.send(f"{page_of(flavor)}stock/", key="k", **receipt)
    assert answer.status_code in (400, 409)
    assert messages(answer)[1].startswith(problem)
    assert value_of(answer, "quantity") == receipt["quantity"]
    assert (await saved(flavor)).stock == 5


async def test_counting_stops_and_a_flavor_is_archived_and_restored(browser: Browser) -> None:
    flavor = await new_flavor(stock=5)
    await browser.send(f"{page_of(flavor)}uncounted/")
    await browser.send(f"{page_of(flavor)}archived/", archived="true")
    found = await saved(flavor)
    assert (found.stock, found.archived) == (None, True)
    page = await browser.get(f"{page_of(flavor)}?done=archived")
    assert messages(page) == ["The flavor is archived. It can no longer be ordered."]
    await browser.send(f"{page_of(flavor)}archived/", archived="false")
    assert not (await saved(flavor)).archived


async def test_a_flavor_is_added_with_its_first_stock(browser: Browser) -> None:
    empty = await browser.send(f"{LIST}new/", price="x", stock="-1")
    assert [text.split(" ")[0] for text in messages(empty)[1:]] == ["Name", "Price", "Stock"]
    fields = {"name": f"Added by {browser.user.username}", "price": "3", "stock": "12"}
    answer = await browser.send(f"{LIST}new/", **fields)
    assert answer.status_code == 303
    (flavor,) = await Flavor.select(Flavor.id, Flavor.price, Flavor.stock).where(
        Flavor.name == fields["name"]
    )
    assert answer.headers["location"] == f"{page_of(flavor['id'])}?done=added"
    assert (flavor["price"], flavor["stock"]) == (300, 12)
    assert await StockMove.count().where(StockMove.flavor == flavor["id"]) == 1
    again = await browser.send(f"{LIST}new/", **fields)
    assert messages(again)[1] == "This name is taken."


async def test_amounts_are_written_as_in_the_locale(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    german = msgspec.structs.replace(settings.load(), locale="de")
    monkeypatch.setattr(settings, "load", lambda: german)
    flavor = await new_flavor()
    form = await form_of(browser, flavor)
    await browser.send(page_of(flavor), **form | {"price": "1.234,50"})
    assert (await saved(flavor)).price == 123_450
    assert value_of(await browser.get(page_of(flavor)), "price") == "1.234,50"


async def test_the_dashboard_shows_low_stock_that_is_not_sold(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Flavors of other tests may be more urgent.
    monkeypatch.setattr(current, "MAX_LOW_STOCK_FLAVORS", 1_000_000)
    flavor = await new_product("Unsold", stock=2, low_stock_threshold=2)
    page = await browser.get("/dashboard/")
    assert page.status_code == 200
    assert f"Unsold {flavor}" in page.text and "no sales" in page.text
