"""Test the dashboard: access, correct figures, and live updates of open pages."""

import asyncio
import csv
import gzip
import io
import re
import signal
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.types import Message

from icecream import app, database, errors, settings
from icecream.accounts import users
from icecream.dashboard import page
from icecream.dashboard import stream as dashboard_stream
from icecream.feed import events, reader
from icecream.orders import actions
from icecream.pages import assets, formatting
from icecream.payments.providers import Declined, Succeeded
from icecream.reporting import current, reports, sales
from icecream.reporting.day_ranges import DayRange, compare
from icecream.reporting.http import parameters
from icecream.tables import Flavor, Order, Session, User
from tasks.publishing import run_publisher
from tests.browser import sign_in_to_admin
from tests.clocks import place_at
from tests.conftest import Caller, carry_out, new_flavor, new_user, parked, place, publish_all
from tests.processes import Shop
from tests.test_app import check_problem

pytestmark = pytest.mark.anyio
PAGE = "/dashboard/"
DATA = "/dashboard/data"
CLOSED = [DATA, "/dashboard/sales.csv", "/dashboard/orders.csv", "/dashboard/live"]


@pytest.fixture(scope="module")
def site(opened: None) -> httpx.ASGITransport:
    return httpx.ASGITransport(app.create(), raise_app_exceptions=False)


async def session(user: User, minutes: int = 60) -> str:
    made = await Session.create_session(user.id)
    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)
    await Session.update({Session.expiry_date: until}).where(Session.id == made.id)
    return str(made.token)


def browser(site: httpx.ASGITransport, cookie: str = "") -> httpx.AsyncClient:
    cookies = {"id": cookie} if cookie else {}
    return httpx.AsyncClient(transport=site, base_url="http://test", cookies=cookies)


@pytest.fixture
async def clerk(site: httpx.ASGITransport, hashed: str) -> AsyncIterator[httpx.AsyncClient]:
    """Yield the client of a staff user who is signed in to the admin."""
    cookie = await session(await new_user(hashed, admin=True))
    async with browser(site, cookie) as client:
        yield client


# Access


async def test_visitors_are_redirected_to_sign_in_and_back(site: httpx.ASGITransport) -> None:
    async with browser(site) as visitor:
        answer = await visitor.get(f"{PAGE}?from=2026-01-01&to=2026-02-01")
        assert answer.status_code == 303
        place = httpx.URL(answer.headers["location"])
        assert place.path == "/sign-in/"
        assert place.params["next"] == f"{PAGE}?from=2026-01-01&to=2026-02-01"
        for path in CLOSED:
            check_problem(await visitor.get(path), 401, "unauthenticated")


async def test_an_api_token_does_not_open_the_dashboard(staff: Caller) -> None:
    assert (await staff.get(PAGE)).status_code == 303
    assert (await staff.get(DATA)).status_code == 401


async def test_a_customer_gets_a_page_that_says_staff_only(
    site: httpx.ASGITransport, hashed: str
) -> None:
    async with browser(site, await session(await new_user(hashed))) as client:
        answer = await client.get(PAGE)
        assert answer.status_code == 403
        assert "This page is for staff" in answer.text
        for path in CLOSED:
            check_problem(await client.get(path), 403, "forbidden")


async def test_an_expired_session_or_a_disabled_account_opens_nothing(
    site: httpx.ASGITransport, hashed: str
) -> None:
    user = await new_user(hashed, admin=True)
    async with browser(site, await session(user, minutes=-1)) as client:
        assert (await client.get(PAGE)).status_code == 303
    shut = await new_user(hashed, admin=True)
    async with browser(site, await session(shut)) as client:
        assert (await client.get(PAGE)).status_code == 200
        await User.update({User.active: False}).where(User.id == shut.id)
        assert (await client.get(PAGE)).status_code == 303
        assert (await client.get(DATA)).status_code == 401


async def test_opening_the_page_extends_the_session_and_updates_do_not(
    site: httpx.ASGITransport, hashed: str
) -> None:
    cookie = await session(await new_user(hashed, admin=True), minutes=5)

    async def ends() -> datetime:
        is_this = Session.token == Session.hash_token(cookie)
        row = await Session.select(Session.expiry_date).where(is_this).first()
        assert row is not None
        end: datetime = row["expiry_date"]
        return end

    begun = await ends()
    async with browser(site, cookie) as client:
        await client.get(DATA)
        assert await ends() == begun
        await client.get(PAGE)
        assert await ends() > begun + timedelta(minutes=50)


# Displayed data


async def figures_of(days: int) -> dict[str, Any]:
    """Compute the headline figures of the last `days` days from the rows of the orders."""
    first = datetime.now(UTC).date() - timedelta(days - 1)
    orders = [
        row
        for row in await Order.select(Order.status, Order.total, Order.refunded, Order.created_at)
        if row["created_at"].date() >= first
    ]
    charged = [one for one in orders if one["status"] in ("paid", "refunding", "refunded")]
    ended = [one for one in orders if one["status"] != "pending"]
    failed = [one for one in orders if one["status"] == "failed"]
    revenue = sum(one["total"] for one in charged)
    revenue += sum(one["refunded"] for one in orders if one["status"] == "canceled")
    return {
        "Orders": formatting.number(len(orders)),
        "Revenue": formatting.headline(revenue, "EUR"),
        "Paid orders": formatting.number(len(charged)),
        "Refunds": formatting.headline(sum(one["refunded"] for one in orders), "EUR"),
        "Failure rate": formatting.percent(len(failed) / len(ended)),
        "Average order": formatting.headline(
            round(sum(one["total"] for one in orders) / len(orders)), "EUR"
        ),
    }


def shown(html: str) -> dict[str, str]:
    """Return the headline figures that the page displays."""
    names = re.findall(r'card figure">\s+<dt>([\w ]+?)(?: <small>|</dt>)', html)
    values = re.findall(r'class="value">([^<]+)<', html)
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("days", [7, 30])
async def test_the_figures_equal_those_of_the_orders(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int, days: int
) -> None:
    for quantity, answers in ((3, ["a"]), (2, []), (4, ["b"])):
        placed = await place(customer.user.id, {flavor: quantity})
        if answers:
            await carry_out(placed.order)
    await database.transaction(lambda: actions.refund_order(placed.order, 250, reason="soft", by=1))
    await carry_out(placed.order)
    data = (await clerk.get(f"{DATA}?period={days}d")).json()
    expected = await figures_of(days)
    assert shown(data["parts"]["headline"]) == expected
    whole = (await clerk.get(f"{PAGE}?period={days}d")).text
    assert shown(whole) == expected
    assert len(data["charts"]["sales"]) == days
    revenue = sum(amount for _, amount in data["charts"]["sales"])
    assert f"{revenue:,.2f}" == expected["Revenue"]
    assert data["order"] == placed.order
    assert f"/staff/orders/{placed.order}/" in data["parts"]["latest"]


async def test_days_are_selected_with_the_parameters_of_the_api(clerk: httpx.AsyncClient) -> None:
    data = (await clerk.get(f"{DATA}?from=2024-02-28&to=2024-03-02")).json()
    assert [day for day, _ in data["charts"]["sales"]] == ["28 Feb", "29 Feb", "1 Mar"]
    html = (await clerk.get(f"{PAGE}?from=2024-02-28&to=2024-03-02")).text
    assert "28\xa0Feb\xa02024 to 1\xa0Mar\xa02024" in html
    assert html.count('aria-current="page"') == 1


@pytest.mark.parametrize(
    ("name", "shown", "compared"),
    [
        ("today", "2026-03-31 2026-04-01", "2026-03-30 2026-03-31"),
        ("yesterday", "2026-03-30 2026-03-31", "2026-03-29 2026-03-30"),
        ("7d", "2026-03-25 2026-04-01", "2026-03-18 2026-03-25"),
        ("this-month", "2026-03-01 2026-04-01", "2026-02-01 2026-03-01"),
        ("last-month", "2026-02-01 2026-03-01", "2026-01-01 2026-02-01"),
    ],
)
def test_a_period_is_compared_with_the_one_before(name: str, shown: str, compared: str) -> None:
    days = parameters.find_period(name, date(2026, 3, 31))
    assert f"{days.since} {days.until}" == shown
    assert f"{days.before.since} {days.before.until}" == compared


def test_a_month_is_compared_with_as_many_days() -> None:
    before = parameters.find_period("this-month", date(2026, 3, 9)).before
    assert before == DayRange(date(2026, 2, 1), date(2026, 2, 10))


@pytest.mark.parametrize("name", page.PERIODS)
async def test_each_period_says_what_it_compares(clerk: httpx.AsyncClient, name: str) -> None:
    now = datetime.now(UTC)
    html = (await clerk.get(f"{PAGE}?period={name}")).text
    assert f'period={name}" aria-current="page">{page.PERIODS[name]}<' in html
    compared = compare(parameters.find_period(name, now.date()), now)
    # Not in the last quarter of an hour of a day, nor on a day that the last month did not have.
    assert ("today is not over yet" in html) is (compared.until is not None)
    assert compared.until is None or name not in ("yesterday", "last-month")
    assert f"Compared with {formatting.days(compared.days.since, compared.end)}" in html
    assert (await clerk.get(f"{DATA}?period={name}")).status_code == 200


async def test_the_page_is_in_the_time_zone_of_the_installation(
    clerk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "All days and times are UTC." in (await clerk.get(PAGE)).text
    # Ahead of UTC by 14 hours, so it is tomorrow there for most of the day.
    far = msgspec.structs.replace(settings.load(), time_zone="Pacific/Kiritimati")
    monkeypatch.setattr(settings, "load", lambda: far)
    html = (await clerk.get(f"{PAGE}?period=today")).text
    assert "All days and times are in the time zone Pacific/Kiritimati." in html
    today = datetime.now(far.zone).date()
    assert f"<p>{formatting.day(today)}</p>" in html
    moment = datetime(2020, 5, 13, 20, 22, 5, tzinfo=UTC)
    assert formatting.clock(moment) == "10:22:05 +14"
    assert formatting.timestamp(moment) == "14\xa0May\xa02020 10:22"


async def test_payments_by_outcome_count_payments(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    days = "?from=2015-06-07&to=2015-06-08"
    assert "No payments for orders of these days." in (await clerk.get(PAGE + days)).text
    flavor = await new_flavor(price=150)
    orders = await place_at(customer, flavor, "2015-06-07 10:00", "2015-06-07 11:00")
    for order in orders:
        await carry_out(order, Declined("no"))
        await actions.pay_order(order, by=customer.user.id, needs_method=False)
    html = (await clerk.get(PAGE + days)).text
    assert re.search(r"declined</span></th><td data-value=.2.>2</td><td data-value=.300.>", html)
    assert re.search(r"new</span></th><td data-value=.2.>2</td>", html)


async def test_a_bar_and_a_row_lead_to_their_days(clerk: httpx.AsyncClient) -> None:
    spans = {"from=2026-02-27&to=2026-03-02": "?from=2026-02-28&to=2026-03-01"}
    spans["from=2026-01-01&to=2026-06-01"] = "?from=2026-01-05&to=2026-01-12"
    spans["from=2023-12-01&to=2026-06-01"] = "?from=2024-01-01&to=2024-02-01"
    for span, second in spans.items():
        data = (await clerk.get(f"{DATA}?{span}")).json()
        assert data["charts"]["links"][1] == second
        assert f'href="{second.replace("&", "&amp;")}"' in data["parts"]["sales"]
        assert (await clerk.get(f"{PAGE}{second}")).status_code == 200


def test_figures_follow_the_locale_of_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    german = msgspec.structs.replace(settings.load(), locale="de")
    monkeypatch.setattr(settings, "load", lambda: german)
    assert formatting.money(123_450, "EUR") == "1.234,50\xa0EUR"
    assert formatting.headline(123_456_789, "EUR") == "1.234.568"
    assert formatting.number(1234) == "1.234"
    assert formatting.percent(0.123) == "12,3\xa0%"
    assert formatting.change(1125, 1000, more_is_good=True).text == "12,5\xa0% more"


@pytest.mark.parametrize(
    "query",
    [
        "period=1d",
        "from=x&to=y",
        "from=2026-02-01&to=2026-01-01",
        "from=2026-02-01&to=2026-02-01",
        "from=2026-02-01&to=9999-12-31",
        "to=2026-01-01",
        "from=0001-01-01&to=0001-01-03",
        "from=2026-01-01&through=2026-01-31",
        "period=7d&period=30d",
    ],
)
async def test_invalid_days_are_reported_on_the_page(clerk: httpx.AsyncClient, query: str) -> None:
    answer = await clerk.get(f"{PAGE}?{query}")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "Headline figures" in answer.text
    assert (await clerk.get(f"{DATA}?{query}")).status_code == 400


async def test_names_are_escaped(clerk: httpx.AsyncClient, hashed: str) -> None:
    name = "<img src=x onerror=alert(1)> & </script>"
    user = User(username=name, password=hashed, active=True)
    await user.save()
    flavor = await new_flavor(name=name, price=100_000_000)
    placed = await place(user.id, {flavor: 1})
    await carry_out(placed.order)
    for text in (
        (await clerk.get(PAGE)).text,
        " ".join((await clerk.get(DATA)).json()["parts"].values()),
    ):
        assert "<img src=x" not in text
        assert "&lt;img src=x onerror=alert(1)&gt; &amp; &lt;/script&gt;" in text


async def test_a_parked_payment_comes_first_with_links_to_its_decisions(
    clerk: httpx.AsyncClient, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Other tests may have left parked payments: show all.
    monkeypatch.setattr(current, "MAX_PARKED_PAYMENTS", 10_000)
    lost = await parked(customer)
    odd = await parked(customer, Succeeded(f"odd {lost.order}", 900, "EUR"))
    parts = (await clerk.get(DATA)).json()["parts"]
    assert "review" in parts["attention"]
    ways = [(one, way) for one in (lost, odd) for way in ("retry", "release", "refund", "book")]
    for one, way in ways:
        address = f"/staff/orders/{one.order}/?do={way}-{one.payment}"
        # Only a payment that is known to be charged can be refunded, and only a refund be booked.
        is_possible = way != "book" and (one, way) != (lost, "refund")
        assert (f'"{address}"' in parts["parked"]) is is_possible
        offered = f'name="step" value="{way}-{one.payment}"' in (await clerk.get(address)).text
        assert offered is is_possible


async def test_each_possible_action_links_to_its_question(
    clerk: httpx.AsyncClient, customer: Caller
) -> None:
    scarce = await new_flavor(stock=19)
    pending, failed, paid = [await place(customer.user.id, {scarce: n}) for n in (9, 1, 9)]
    await carry_out(failed.order, Declined("no"))
    await carry_out(paid.order)
    await Flavor.update({Flavor.stock: None}).where(Flavor.id != scarce)
    parts = (await clerk.get(DATA)).json()["parts"]
    html = "".join(parts.values())
    steps = re.findall(r"/staff/orders/(\d+)/\?do=([a-z]+)\"", html)
    found = {(int(of), step) for of, step in steps if int(of) >= pending.order}
    assert found == {
        (pending.order, "cancel"),
        (failed.order, "pay"),
        (paid.order, "refund"),
        (paid.order, "cancel"),
    }
    for of, step in found:
        page_of_order = (await clerk.get(f"/staff/orders/{of}/?do={step}")).text
        assert re.search(rf'<dialog id="do-{step}"[^>]* open>', page_of_order)
    stock = re.findall(r"(/staff/flavors/(\d+)/)#stock-title", html)
    assert [int(of) for _, of in stock] == [scarce]
    assert 'id="stock-title"' in (await clerk.get(stock[0][0])).text


async def test_the_csv_equals_that_of_the_api(clerk: httpx.AsyncClient, staff: Caller) -> None:
    last = datetime.now(UTC).date()
    first, after = last - timedelta(29), last + timedelta(1)
    answer = await clerk.get("/dashboard/sales.csv")
    api = await staff.get(f"/api/stats/?from={first}&to={after}&interval=day&format=csv")
    assert answer.text == api.text
    assert next(csv.reader(io.StringIO(answer.text)))[0] == "start"
    assert f'filename="sales-{first}-{last}.csv"' in answer.headers["content-disposition"]


async def test_the_orders_of_the_shown_days_are_a_file(
    clerk: httpx.AsyncClient, customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first and the last second of a day in Berlin on which the clock goes forward.
    within = ["2019-03-30 23:00", "2019-03-31 21:59:59"]
    await place_at(customer, flavor, "2019-03-30 22:59:59", *within, "2019-03-31 22:00")
    berlin = msgspec.structs.replace(settings.load(), time_zone="Europe/Berlin")
    monkeypatch.setattr(settings, "load", lambda: berlin)
    answer = await clerk.get("/dashboard/orders.csv?from=2019-03-31&to=2019-04-01")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert 'filename="orders-2019-03-31-2019-03-31.csv"' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"
    found = [row["placed_local"] for row in rows if row["customer"] == customer.user.username]
    assert found == ["2019-03-31 00:00:00", "2019-03-31 23:59:59"]


async def test_without_the_database_the_page_reports_it(
    clerk: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise database.DatabaseUnavailable("away")

    monkeypatch.setattr(reports, "build_dashboard", away)
    answer = await clerk.get(f"{PAGE}?period=7d")
    assert answer.status_code == 503
    assert "The database is unavailable" in answer.text
    assert 'name="to"' in answer.text
    assert "Headline figures" not in answer.text
    check_problem(await clerk.get(DATA), 503, "unavailable")


async def test_the_page_loads_only_our_files_and_has_no_inline_code(
    clerk: httpx.AsyncClient,
) -> None:
    answer = await clerk.get(PAGE)
    assert answer.headers["cache-control"] == "no-store"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
    assert "unsafe" not in policy and "http" not in policy
    assert not re.findall(r"<script>|<[a-z][^>]* (?:style|on\w+)=", answer.text)
    links = re.findall(r'(?<=[" ])/(?:assets|pages)/[^" ]+', answer.text)
    linked = {link.rpartition("/")[2].rpartition("-")[0] for link in links}
    assert linked >= {"chart.bundle", "chartkick", "dashboard", "pages"}
    for link in links:
        assert (await clerk.get(link)).status_code == 200, link


async def test_page_scripts_and_styles_are_small(clerk: httpx.AsyncClient) -> None:
    size = len((await clerk.get(PAGE)).content)
    size += sum(len(asset.compressed) for asset in assets.ASSET_BY_NAME.values())
    assert size < 400_000


@pytest.mark.parametrize("name", assets.ASSET_BY_NAME)
async def test_assets_are_cached_forever_and_compressed(
    client: httpx.AsyncClient, name: str
) -> None:
    for accepted, coding in (("gzip, br", "gzip"), ("identity", None)):
        path = f"/pages/{name}"
        answer = await client.get(path, headers={"Accept-Encoding": accepted})
        assert answer.content == assets.ASSET_BY_NAME[name].body
        assert answer.headers.get("content-encoding") == coding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "immutable" in answer.headers["cache-control"]
    assert gzip.decompress(assets.ASSET_BY_NAME[name].compressed) == answer.content


async def test_no_other_file_is_served(client: httpx.AsyncClient) -> None:
    for name in ("dashboard.js", "chartkick.js", "..%2fpage.html", "page.html"):
        answer = await client.get(f"/pages/{name}")
        check_problem(answer, 404, "not-found")


# Formatting


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        (123_450, "EUR", "1,234.50\xa0EUR"),
        (1_234, "JPY", "1,234\xa0JPY"),
        (1_234, "KWD", "1.234\xa0KWD"),
        (5, "USD", "0.05\xa0USD"),
        (0, "CLF", "0.0000\xa0CLF"),
        (10**15 - 1, "EUR", "9,999,999,999,999.99\xa0EUR"),
    ],
)
def test_money_has_the_digits_of_its_currency(amount: int, currency: str, said: str) -> None:
    assert formatting.money(amount, currency) == said


def test_headline_amounts_of_millions_have_no_decimals() -> None:
    assert formatting.headline(99_999_999, "EUR") == "999,999.99"
    assert formatting.headline(123_456_789, "EUR") == "1,234,568"


@pytest.mark.parametrize(("failed", "ended", "said"), [(1, 26, "3.8"), (15, 19, "78.9")])
def test_a_failure_rate_is_rounded_once(failed: int, ended: int, said: str) -> None:
    rate = sales._with_failure_rate({"failed": failed, "ended": ended})["failure_rate"]
    assert formatting.percent(rate) == f"{said}\xa0%"


def test_a_change_has_a_size_and_a_rating() -> None:
    said = formatting.change(120, 100, more_is_good=True)
    assert said == formatting.FigureChange("20\xa0% more", "▲", "good")
    assert formatting.change(90, 100, more_is_good=True).rating == "bad"
    assert formatting.change(90, 100, more_is_good=False).rating == "good"
    assert formatting.change(100, 100, more_is_good=True) == formatting.FigureChange("no change")
    assert formatting.change(5, 0, more_is_good=True) == formatting.FigureChange(
        "no earlier figure"
    )
    assert formatting.change(0, 0, more_is_good=True) == formatting.FigureChange("no change")
    rate = formatting.change_of_share(0.051, 0.05, more_is_good=False)
    assert rate == formatting.FigureChange("0.1\xa0points more", "▲", "bad")
    assert formatting.change_of_share(None, 0.5, more_is_good=False) == formatting.FigureChange(
        "no change"
    )


def test_durations_have_their_largest_unit() -> None:
    lengths = {0.4: "0 s", 59: "59 s", 61: "1 min", 7300: "2 h", 86_400: "1 day", 200_000: "2 days"}
    assert [formatting.duration(one).replace("\xa0", " ") for one in lengths] == list(
        lengths.values()
    )
    assert formatting.days(date(2026, 1, 1), date(2026, 1, 2)) == "1\xa0Jan\xa02026"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", formatting.timestamp(datetime.now(UTC)))
    assert (
        formatting.timestamp(datetime(2020, 5, 13, 10, 22, tzinfo=UTC)) == "13\xa0May\xa02020 10:22"
    )


async def test_an_empty_shop_shows_the_first_steps(clerk: httpx.AsyncClient) -> None:
    days = DayRange(date(2026, 1, 1), date(2026, 1, 8))
    figures, upto = await reports.build_dashboard(days)
    figures.latest_orders.clear()
    parts = page.render_parts(page.build_view(figures, upto))
    assert "No orders yet" in parts["attention"]
    assert "/staff/customers/" in parts["attention"]


# Live updates


class Client:
    """A browser that reads a stream."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []
        self.status = 0
        self.ended = False
        self.left = asyncio.Event()
        self.got = asyncio.Event()

    async def receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif message["type"] == "http.response.body":
            self.ended = not message["more_body"]
            self.blocks += [message["body"]] if message["body"] else []
            self.got.set()

    async def read_block(self) -> bytes:
        """Wait for the next block and return it."""
        async with asyncio.timeout(5):
            await self.got.wait()
        self.got.clear()
        return self.blocks[-1]


@pytest.fixture
async def pages() -> AsyncIterator[dashboard_stream.OpenPages]:
    pages = dashboard_stream.OpenPages(reader.FeedReader())
    yield pages
    pages.reader.close()


async def always(_: str) -> bool:
    return True


def opened_by(
    client: Client, pages: dashboard_stream.OpenPages, session: str = "one", holds: Any = always
) -> asyncio.Task[None]:
    stream = dashboard_stream.PageStream(pages, session, holds)
    return asyncio.create_task(stream({}, client.receive, client.send))


async def test_an_open_page_is_notified_of_a_published_order(
    pages: dashboard_stream.OpenPages, clerk: httpx.AsyncClient, customer: Caller, flavor: int
) -> None:
    await publish_all()
    client = Client()
    async with run_publisher():
        stream = opened_by(client, pages)
        assert (await client.read_block()).endswith(dashboard_stream.CHANGED)
        placed = await place(customer.user.id, {flavor: 1})
        assert await client.read_block() == dashboard_stream.CHANGED
        assert (await clerk.get(DATA)).json()["order"] == placed.order
    client.left.set()
    await stream
    assert client.status == 200


async def test_all_open_pages_share_one_reader(
    pages: dashboard_stream.OpenPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    read = events.read_events

    async def counted(*asked: Any) -> Any:
        nonlocal looks
        looks += 1
        return await read(*asked)

    monkeypatch.setattr(reader, "READ_INTERVAL_SECONDS", 0.1)
    monkeypatch.setattr(events, "read_events", counted)
    clients = [Client() for _ in range(20)]
    streams = [opened_by(one, pages, f"session {n}") for n, one in enumerate(clients)]
    for client in clients:
        await client.read_block()
    await asyncio.sleep(0.35)
    assert looks <= 5
    for client in clients:
        client.left.set()
    await asyncio.gather(*streams)
    await asyncio.sleep(0.15)
    before = looks
    await asyncio.sleep(0.15)
    assert looks == before


async def test_a_stream_ends_with_its_session(
    pages: dashboard_stream.OpenPages, hashed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard_stream, "SESSION_CHECK_SECONDS", 0.02)
    user = await new_user(hashed, admin=True)
    cookie = await session(user)

    async def holds(token: str) -> bool:
        return await users.find_session_user(token) is not None

    client = Client()
    stream = opened_by(client, pages, cookie, holds)
    await client.read_block()
    await asyncio.sleep(0.1)
    assert not client.ended
    await Session.remove_session(cookie)
    async with asyncio.timeout(2):
        await stream
    assert client.ended


async def test_an_idle_stream_sends_comments_and_survives_a_database_outage(
    pages: dashboard_stream.OpenPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: str) -> bool:
        raise database.DatabaseUnavailable("away")

    monkeypatch.setattr(dashboard_stream, "SESSION_CHECK_SECONDS", 0.02)
    monkeypatch.setattr(dashboard_stream, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(events, "read_events", away)
    client = Client()
    stream = opened_by(client, pages, holds=away)
    await client.read_block()
    assert await client.read_block() == b": nothing new\n\n"
    assert not stream.done()
    client.left.set()
    await stream


@pytest.mark.only("sqlite")
def test_open_streams_do_not_delay_the_stop_of_the_server(tmp_path: Path) -> None:
    with Shop(tmp_path, "sqlite:///icecream.sqlite") as shop:
        server, client = shop.serve(), shop.http
        sign_in_to_admin(client)
        with client.stream("GET", "/dashboard/live") as stream:
            blocks = stream.iter_raw()
            assert next(blocks).endswith(dashboard_stream.CHANGED)
            server.signal(signal.SIGTERM)
            assert b"".join(blocks).strip() in (b"", dashboard_stream.CHANGED.strip())
        assert server.wait() == 0
        # uvicorn did not have to cut the stream off.
        assert "graceful shutdown exceeded" not in server.output


async def test_the_streams_of_a_session_are_limited(pages: dashboard_stream.OpenPages) -> None:
    clients = [Client() for _ in range(dashboard_stream.MAX_PAGES_PER_SESSION)]
    streams = [opened_by(one, pages) for one in clients]
    for client in clients:
        await client.read_block()
    with pytest.raises(errors.QuotaExceeded) as refused:
        await opened_by(Client(), pages)
    assert refused.value.headers["Retry-After"]
    other = Client()
    streams.append(opened_by(other, pages, "another"))
    await other.read_block()
    clients[0].left.set()
    await streams[0]
    again = Client()
    streams.append(opened_by(again, pages))
    await again.read_block()
    pages.reader.close()
    async with asyncio.timeout(2):
        await asyncio.gather(*streams)
    with pytest.raises(errors.Unavailable):
        await opened_by(Client(), pages)
