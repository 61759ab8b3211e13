"""Test the packing list over HTTP: JSON, two tables as CSV, and its parameters."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from icecream.orders import placing
from icecream.orders.details import OrderDetails
from tests.conftest import Caller, carry_out, ignore_notification, new_flavor

pytestmark = pytest.mark.anyio
PATH = "/api/packing-list/"
DAYS = iter(datetime.now(UTC).date() + timedelta(days=n) for n in range(300, 360))


@pytest.fixture
def day() -> date:
    return next(DAYS)


async def order(caller: Caller, lines: dict[int, int], day: date, **details: str) -> int:
    placer, more = (
        placing.OrderPlacer(ignore_notification),
        OrderDetails(delivery_date=day, **details),
    )
    number = (await placer.place(caller.user.id, lines, details=more)).order
    await carry_out(number)
    return number


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.headers["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.text, newline="")))


async def test_a_list_names_flavors_customers_orders_and_lines(
    customer: Caller, staff: Caller, day: date
) -> None:
    name = f"Vanilla on {day}"
    flavor = await new_flavor(name=name, sku=f"V-{day}", unit="tub", pack_size=1)
    number = await order(customer, {flavor: 2}, day, reference="PO-1207", note="back door")
    answer = await staff.get(f"{PATH}?date={day}")
    assert answer.json() == {
        "date": str(day),
        "is_complete": True,
        "pending": 0,
        "orders": 1,
        "flavors": [
            {
                "flavor": flavor,
                "name": name,
                "sku": f"V-{day}",
                "unit": "tub",
                "pack_size": 1,
                "quantity": 2,
                "packed": 0,
                "orders": 1,
            }
        ],
        "customers": [
            {
                "user": customer.user.id,
                "name": customer.user.username,
                "orders": [
                    {
                        "order": number,
                        "reference": "PO-1207",
                        "note": "back door",
                        "fulfilment": "unfulfilled",
                        "lines": [{"flavor": flavor, "name": name, "quantity": 2}],
                    }
                ],
            }
        ],
    }


async def test_the_tables_are_the_lines_of_the_orders_and_the_sums_by_flavor(
    customer: Caller, staff: Caller, day: date
) -> None:
    flavors = [await new_flavor(name=f"{letter} {day}") for letter in "AB"]
    first = await order(customer, dict.fromkeys(flavors, 2), day, note="=1+1")
    second = await order(customer, {flavors[1]: 5}, day)
    answer = await staff.get(f"{PATH}?date={day}&format=csv")
    lines = [(row["order"], row["name"], row["quantity"]) for row in rows_of(answer)]
    assert lines == [
        (str(first), f"A {day}", "2"),
        (str(first), f"B {day}", "2"),
        (str(second), f"B {day}", "5"),
    ]
    assert [row["note"] for row in rows_of(answer)] == ["'=1+1", "'=1+1", ""]
    name = f'attachment; filename="packing-list-{day}-orders.csv"'
    assert answer.headers["Content-Disposition"] == name
    sums = rows_of(await staff.get(f"{PATH}?date={day}&format=csv&table=flavors"))
    assert [(row["name"], row["quantity"], row["packed"]) for row in sums] == [
        (f"A {day}", "2", "0"),
        (f"B {day}", "7", "0"),
    ]
    accepted = await staff.get(f"{PATH}?date={day}", headers={"Accept": "text/csv"})
    assert accepted.content == answer.content


async def test_an_empty_day_is_an_empty_list(staff: Caller) -> None:
    answer = (await staff.get(f"{PATH}?date=2001-01-01")).json()
    assert (answer["orders"], answer["flavors"], answer["customers"]) == (0, [], [])
    assert rows_of(await staff.get(f"{PATH}?date=2001-01-01&format=csv")) == []


async def test_without_a_date_the_list_says_from_when_on(staff: Caller) -> None:
    answer = (await staff.get(PATH)).json()
    month_ago = datetime.now(UTC).date() - timedelta(days=31)
    assert (answer["date"], answer["placed_from"]) == (None, str(month_ago))
    answer = (await staff.get(f"{PATH}?placed_from=9999-12-31")).json()
    assert (answer["placed_from"], answer["orders"]) == ("9999-12-31", 0)
    assert (await staff.get(f"{PATH}?placed_from=0001-01-01")).status_code == 200


async def test_customers_see_no_packing_list(customer: Caller) -> None:
    assert (await customer.get(PATH)).status_code == 403


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("date=tomorrow", "/date"),
        ("date=2026-02-30", "/date"),
        ("placed_from=now", "/placed_from"),
        ("date=2026-05-13&placed_from=2026-05-13", "/placed_from"),
        ("table=customers", "/table"),
        ("format=pdf", "/format"),
        ("day=2026-05-13", "/day"),
    ],
)
async def test_a_wrong_parameter_is_refused_and_named(
    staff: Caller, query: str, pointer: str
) -> None:
    answer = await staff.get(f"{PATH}?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_no_line_of_a_note_is_a_formula(customer: Caller, staff: Caller, day: date) -> None:
    note = 'back door\n=1+1\n"@SUM(A1)'
    await order(customer, {await new_flavor(): 1}, day, note=note)
    answer = await staff.get(f"{PATH}?date={day}&format=csv")
    (row,) = rows_of(answer)
    assert row["note"] == "back door\n'=1+1\n'\"@SUM(A1)"
    # Where a semicolon separates cells, a line of the note is a row.
    for cells in csv.reader(io.StringIO(answer.text, newline=""), delimiter=";"):
        assert not [cell for cell in cells if cell.startswith(("=", "@"))]
