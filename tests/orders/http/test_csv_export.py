"""Test orders as CSV: the columns, the order, the filters, and files of any length."""

import csv
import io
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from icecream import settings
from icecream.http import pagination
from icecream.orders import placing
from icecream.orders.details import OrderDetails
from icecream.tables import Order
from tests.clocks import place_at
from tests.conftest import Caller, ignore_notification, new_flavor, place

pytestmark = pytest.mark.anyio
PATH = "/api/orders/?format=csv"


def parse(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


async def test_a_row_has_local_time_and_amounts_in_both_units(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavor = await new_flavor(price=260)
    # In the hour that comes twice.
    await place_at(customer, flavor, "2019-10-27 00:30", "2019-10-27 01:30")
    tomorrow = (datetime.now(UTC) + timedelta(1)).date()
    details = OrderDetails(reference="PO-1", delivery_date=tomorrow)
    third = await placing.OrderPlacer(ignore_notification).place(
        customer.user.id, {flavor: 3}, details=details
    )
    await Order.update({Order.refunded: 5}).where(Order.id == third.order)
    berlin = msgspec.structs.replace(settings.load(), time_zone="Europe/Berlin")
    monkeypatch.setattr(settings, "load", lambda: berlin)
    answer = await customer.get(PATH)
    await Order.update({Order.refunded: 0}).where(Order.id == third.order)
    assert answer.headers["content-type"] == "text/csv; header=present; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="orders.csv"'
    first, second, row = parse(answer.text)
    assert first["placed_local"] == second["placed_local"] == "2019-10-27 02:30:00"
    assert (first["placed_utc"], second["placed_utc"]) == (
        "2019-10-27T00:30:00Z",
        "2019-10-27T01:30:00Z",
    )
    assert row["placed_utc"].startswith(f"{datetime.now(UTC).date()}T")
    assert [row[name] for name in row if not name.startswith("placed")] == [
        *(str(third.order), customer.user.username, "PO-1", str(tomorrow), "pending"),
        "unfulfilled",
        *("7.80", "780", "0.05", "5"),
    ]
    assert list(row)[8:] == ["total_eur", "total_minor", "refunded_eur", "refunded_minor"]


async def test_a_text_is_never_a_formula(customer: Caller, flavor: int) -> None:
    details = OrderDetails(reference="=1+1")
    placer = placing.OrderPlacer(ignore_notification)
    await placer.place(customer.user.id, {flavor: 1}, details=details)
    assert parse((await customer.get(PATH)).text)[0]["reference"] == "'=1+1"


async def test_a_file_of_any_length_is_streamed_with_the_filters_of_the_list(
    customer: Caller, staff: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "ROWS_PER_READ", 2)
    assert parse((await customer.get(PATH)).text) == []
    moments = [f"2017-02-03 10:00:0{n % 3}" for n in range(5)]
    await place_at(customer, flavor, *moments)
    rows = parse((await customer.get(PATH)).text)
    assert [row["number"] for row in rows] == sorted((row["number"] for row in rows), key=int)
    assert len(rows) == 5
    # All orders of a time: in the order of the time, equal times included.
    times = "created_from=2017-02-03T10:00:00Z&created_to=2017-02-03T10:00:02Z"
    found = parse((await staff.get(f"{PATH}&user=all&{times}")).text)
    assert [row["placed_utc"][-3:] for row in found] == ["00Z", "00Z", "01Z", "01Z"]
    assert len({row["number"] for row in found}) == 4
    assert parse((await staff.get(f"{PATH}&user=all&{times}&status=paid")).text) == []
    one = f"{PATH}&{times}&user={customer.user.id}"
    assert len(parse((await staff.get(one)).text)) == 4


async def test_customers_get_only_their_own_orders(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    await place(customer.user.id, {flavor: 1})
    assert parse((await stranger.get(PATH)).text) == []
    assert (await stranger.get(f"{PATH}&user=all")).status_code == 403


@pytest.mark.parametrize("query", ["limit=5", "count=true", "sort=-id", "after=x", "format=xls"])
async def test_a_file_is_a_whole_list(customer: Caller, query: str) -> None:
    path = f"/api/orders/?{query}" if "format" in query else f"{PATH}&{query}"
    answer = await customer.get(path)
    assert answer.status_code == 400
    assert query.split("=")[0] in answer.json()["detail"]
