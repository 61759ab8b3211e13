"""Test every row of the crash table: kill a process at each point where it may crash.

The Stripe adapter pays the orders at a sandbox. The sandbox's ledger shows the moved money.
The numbers are the row numbers of the table in docs/crashes.md.
"""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import pytest
from redis import Redis

from icecream import settings
from icecream.database import DB
from tests import servers
from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import Process, Shop, until
from tests.sandboxes import WEBHOOK_SECRET, Sandbox

at_scale = pytest.mark.only("postgres")
# At a failpoint, this program does the action that a control file names, once. So one program
# serves all rows. It retries soon after an unknown outcome, and its clock may be set forward.
ALTERATION = """
import asyncio, contextlib, datetime, os, pathlib, resource, signal, time
from icecream import database
from icecream.payments import leases, provider_calls
from icecream.runtime import failpoints
control = pathlib.Path({control!r})
leases.FIRST_RETRY_DELAY_SECONDS = 0.1
def act(name):
    try:
        word, action = control.read_text().split()
    except (OSError, ValueError):
        return
    if word != name:
        return
    if action == "refuse":
        raise database.DatabaseUnavailable("the test holds it up")
    control.unlink()
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "stand":
        time.sleep(3)
        # As if it stood still after it looked at its clock; uvloop's cannot be set.
        loop, now = asyncio.get_running_loop(), asyncio.get_running_loop().time
        with contextlib.suppress(AttributeError):
            loop.time = lambda: now() - 3
    if action in ("full", "empty"):
        most = 4096 if action == "full" else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    if action == "answer":
        asyncio.get_running_loop().call_later(0.2, os.kill, os.getpid(), signal.SIGKILL)
        raise OSError("the notification fails")
for name in failpoints.FAILPOINTS:
    failpoints.arm_failpoint(name, lambda name=name: act(name))
class Later(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.now(tz) + datetime.timedelta(days={days})
provider_calls.datetime = Later
"""
APPLIED_EVENTS = """
import asyncio, sys
from icecream.tables import Notice
ours = Notice.key == sys.argv[1], Notice.applied_at.is_not_null()
sys.stdout.write(str(asyncio.run(Notice.count().where(*ours).run())))
"""
UNAPPLIED_CHANGES = """
import asyncio, sys
from icecream.tables import TotalChange
sys.stdout.write(str(asyncio.run(TotalChange.count().run())))
"""
# The last two digits of an amount select the sandbox's reaction to the first request under a key
# (docs/providers.md).
DECLINE, RESET_BEFORE, RESET_AFTER, ERROR_BEFORE, ERROR_AFTER = 1, 3, 4, 5, 6
TIMEOUT_AFTER, SLOW, LATE, TOO_MANY, IN_USE = 8, 9, 10, 11, 12
WRONG_AMOUNT, DUPLICATE_WEBHOOKS, PROCESSING, REFUND_FAILS = 13, 14, 15, 17


class Theatre:
    """A shop that pays at a sandbox; its processes die at chosen failpoints."""

    def __init__(self, shop: Shop, sandbox: Sandbox) -> None:
        self.shop, self.sandbox = shop, sandbox
        self.control = shop.folder / "control"
        self.server = self.start("serve")
        self.worker = self.start("worker") if WHICH == "postgres" else self.server
        shop.ready(self.server, self.worker)
        shop.sign_in("admin", ADMIN_PASSWORD)
        answer = shop.http.put("/api/payment-method/", json={"reference": "pm_card_visa"})
        assert answer.status_code == 200, answer.text
        self.flavors: dict[int, int] = {}

    def start(self, *words: str, days: int = 0) -> Process:
        altered = ALTERATION.format(control=str(self.control), days=days)
        return self.shop.begin_altered(altered, *words)

    def at(self, failpoint: str, action: str = "kill") -> None:
        """Let the next process that reaches the failpoint carry out the action."""
        draft = self.control.with_suffix(".draft")
        draft.write_text(f"{failpoint} {action}")
        draft.rename(self.control)

    def heal(self, days: int = 0) -> None:
        """Restart the processes that died, with their clocks `days` ahead."""
        died = [one for one in {self.server, self.worker} if not one.running]
        for process in died:
            again = self.start(*process.words, days=days)
            self.server = again if process is self.server else self.server
            self.worker = again if process is self.worker else self.worker
            if WHICH == "sqlite":
                self.server = self.worker = again
        self.shop.ready(self.server, self.worker)

    def died(self, process: Process) -> None:
        until(lambda: not process.running, "it dies")
        assert process.wait() == -signal.SIGKILL, process.output

    def flavor(self, ending: int) -> int:
        """Return a flavor with counted stock whose price ends in these digits; add it if needed."""
        new = {"name": f"Ending in {ending}", "price": 500 + ending, "stock": 1000}
        if ending not in self.flavors:
            answer = self.shop.http.post("/api/flavors/add/", json=new)
            assert answer.status_code == 201, answer.text
            self.flavors[ending] = answer.json()["id"]
        return self.flavors[ending]

    def ask(self, key: str, ending: int = 0) -> httpx.Response:
        """Order one item of the flavor with this price ending, under an idempotency key."""
        order = {"flavor": self.flavor(ending), "quantity": 1}
        return self.shop.http.post("/api/orders/", json=order, headers={"Idempotency-Key": key})

    def order(self, key: str, ending: int = 0) -> int:
        answer = self.ask(key, ending)
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["order_id"]
        return number

    def see(self, order: int) -> dict[str, Any]:
        found: dict[str, Any] = self.shop.http.get(f"/api/orders/{order}/").json()
        return found

    def ends(self, order: int, *statuses: str) -> dict[str, Any]:
        """Wait until the order has one of these statuses, and return the order."""

        def there() -> dict[str, Any] | None:
            found = self.see(order)
            return found if found["status"] in statuses else None

        found = until(there, f"order {order} ends {statuses}")
        assert found is not None
        return found

    def ordered(self) -> int:
        """Return the ordered quantity of all flavors, from the totals."""
        rows = self.shop.http.get("/api/stats/").json()
        return sum(row["total_qty_ordered"] for row in rows)

    def unapplied_changes(self) -> int:
        """Return the number of changes that are not yet part of the totals."""
        answer = self.shop._python("-c", UNAPPLIED_CHANGES)
        assert answer.returncode == 0, answer.stdout
        return int(answer.stdout)

    def gave(self, order: int, amount: int) -> None:
        """Wait until this amount of the order is refunded."""
        until(lambda: self.see(order)["refunded"] == amount, f"{amount} of {order} went back")

    def history(self, order: int) -> list[str]:
        return [happened["type"] for happened in self.see(order)["history"]]

    def applied_events(self, key: str) -> int:
        """Return the number of applied webhook events about the payment with this key."""
        answer = self.shop._python("-c", APPLIED_EVENTS, key)
        assert answer.returncode == 0, answer.stdout
        return int(answer.stdout)

    def is_idle(self) -> bool:
        """Return whether no payment has a job left."""
        return not {"charge", "refund"} & set(self.shop.books()["jobs"])

    def moved(self, order: int) -> list[tuple[str, int]]:
        """Return the charges and refunds that succeeded at the sandbox for this order."""
        return [
            (one.kind, one.amount)
            for one in self.sandbox.executions()
            if one.order == str(order) and one.result == "succeeded"
        ]


@pytest.fixture(scope="module")
def theatre(opened: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Theatre]:
    folder = tmp_path_factory.mktemp("crashes")
    url = f"sqlite:///{folder}/shop.sqlite"
    if WHICH == "postgres":
        url = settings.load().database_url.rpartition("/")[0] + "/crashes"
    given = {
        "ICECREAM_PAYMENT_PROVIDER": "stripe",
        "ICECREAM_STRIPE_API_KEY": "sk_test_of_the_tests",
        "ICECREAM_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "ICECREAM_ADMIN_PASSWORD": ADMIN_PASSWORD,
    }
    with ExitStack() as held:
        redis = held.enter_context(servers.redis(folder / "redis"))
        shop = held.enter_context(Shop(folder / "shop", url, **given))
        shop.troubled = True
        webhook_option = f"--webhook-url={shop.http.base_url}/api/payments/webhooks/stripe/"
        sandbox = Sandbox(folder, "--fault-amounts", "--slow=1", "--late=1.5", webhook_option)
        held.callback(sandbox.end)
        shop.environment["ICECREAM_STRIPE_API_BASE"] = sandbox.url
        if WHICH == "postgres":
            shop.environment["ICECREAM_REDIS_URL"] = redis.url
        assert shop.run("migrate").returncode == 0
        theatre = Theatre(shop, sandbox)
        yield theatre
        assert theatre.is_idle()
        balance(theatre)
        compare(theatre)


@pytest.fixture(scope="module", autouse=True)
async def database(opened: None) -> None:
    if WHICH == "postgres":
        await DB.run_ddl("CREATE DATABASE crashes")


def balance(theatre: Theatre) -> None:
    """Check that the provider kept exactly the sum of paid orders and of parked payments."""
    kept = sum(
        one.amount if one.kind == "charge" else -one.amount
        for one in theatre.sandbox.executions()
        if one.result == "succeeded"
    )
    orders = theatre.shop.http.get("/api/orders/").json()
    parked = [one["id"] for one in orders if one["status"] == "pending"]
    assert all("parked" in theatre.history(order) for order in parked)
    paid = sum(one["total"] - one["refunded"] for one in orders if one["status"] == "paid")
    assert kept == paid + sum(amount for order in parked for _, amount in theatre.moved(order))


def compare(theatre: Theatre) -> None:
    """Check that `reconcile` finds nothing but wrong amounts, which an operator must decide on."""
    answer = theatre.shop.run("reconcile")
    *findings, last = answer.stdout.splitlines()
    wrong = [one for one in findings if "we requested 5.13 EUR" in one]
    assert findings == wrong, answer.stdout
    assert last == (f"{len(wrong)} left to be done." if wrong else "Nothing is left to be done.")


@pytest.fixture(autouse=True)
def everybody_is_there(theatre: Theatre) -> None:
    """Remove the control file of the previous row and restart the processes that died."""
    theatre.control.unlink(missing_ok=True)
    theatre.heal()


def pays(theatre: Theatre, order: int, price: int) -> None:
    """Check that the order is paid and was charged exactly once, with the exact price."""
    assert theatre.ends(order, "paid")["total"] == price
    assert theatre.moved(order) == [("charge", price)]


IN_INTAKE = [
    pytest.param("orders.before_commit", id="1 before the order is written"),
    pytest.param("orders.committed", id="2 committed, the answer lost"),
]


@pytest.mark.parametrize("failpoint", IN_INTAKE)
def test_a_server_dies_while_it_places_an_order(theatre: Theatre, failpoint: str) -> None:
    theatre.flavor(0)
    theatre.at(failpoint)
    with suppress(httpx.TransportError):
        answer = theatre.ask(failpoint)
        pytest.fail(f"answered: {answer.text}")
    theatre.died(theatre.server)
    theatre.heal()
    order = theatre.order(failpoint)
    assert theatre.order(failpoint) == order
    pays(theatre, order, 500)


def test_3_a_server_dies_after_its_response_and_before_the_notification(theatre: Theatre) -> None:
    theatre.flavor(0)
    theatre.at("orders.notifying", "answer")
    order = theatre.order("no-bell")
    theatre.died(theatre.server)
    theatre.heal()
    pays(theatre, order, 500)


BY_WORKERS = [
    pytest.param("payments.leasing", id="6 while it leases, before the commit"),
    pytest.param("payments.leased", id="7 after the lease and the intent"),
    pytest.param("payments.before_call", id="8 before the call"),
    pytest.param("payments.answered", id="10 charged, the answer lost with the worker"),
    pytest.param("payments.settling", id="13 before the settlement is written"),
    pytest.param("payments.settled", id="14 after it"),
]


@pytest.mark.parametrize("failpoint", BY_WORKERS)
def test_a_worker_dies_during_a_charge(theatre: Theatre, failpoint: str) -> None:
    theatre.flavor(0)
    theatre.at(failpoint)
    order = theatre.order(f"charge-{failpoint}")
    theatre.died(theatre.worker)
    theatre.heal()
    pays(theatre, order, 500)


@pytest.mark.parametrize("failpoint", BY_WORKERS)
def test_19_a_worker_dies_during_a_refund(theatre: Theatre, failpoint: str) -> None:
    order = theatre.order(f"refund-{failpoint}")
    pays(theatre, order, 500)
    theatre.at(failpoint)
    # The server may also be the worker, so it may die before it responds.
    with suppress(httpx.TransportError):
        theatre.shop.http.post(f"/api/orders/{order}/cancel/")
    theatre.died(theatre.worker)
    theatre.heal()
    assert theatre.ends(order, "canceled")["refunded"] == 500
    assert theatre.moved(order) == [("charge", 500), ("refund", 500)]


@pytest.mark.parametrize(
    "failpoint",
    [
        pytest.param("totals.applying", id="23 inside the transaction that applies changes"),
        pytest.param("totals.applied", id="23 after it"),
    ],
)
def test_a_process_dies_while_it_updates_the_totals(theatre: Theatre, failpoint: str) -> None:
    theatre.flavor(0)
    before = theatre.ordered()
    theatre.at(failpoint)
    order = theatre.order(failpoint)
    processes = {theatre.server, theatre.worker}
    until(lambda: not all(one.running for one in processes), "a process dies")
    theatre.heal()
    pays(theatre, order, 500)
    assert theatre.ordered() == before + 1
    until(lambda: theatre.unapplied_changes() == 0, "the totals are updated")
    assert theatre.ordered() == before + 1
    assert "every rule holds" in theatre.shop.run("doctor").stdout


@at_scale
def test_4_redis_loses_a_notification(theatre: Theatre) -> None:
    theatre.flavor(0)
    theatre.worker.kill()
    order = theatre.order("forgotten")
    with Redis.from_url(theatre.shop.environment["ICECREAM_REDIS_URL"]) as redis:
        # The server notifies the workers after it has answered.
        assert until(lambda: redis.xlen("icecream:payments"), "the workers are notified")
        redis.flushall()
    theatre.heal()
    pays(theatre, order, 500)


@at_scale
def test_5_two_workers_get_the_same_notification(theatre: Theatre) -> None:
    theatre.flavor(0)
    theatre.worker.kill()
    order = theatre.order("twice")
    with Redis.from_url(theatre.shop.environment["ICECREAM_REDIS_URL"]) as redis:
        ((_, entry),) = until(
            lambda: redis.xrevrange("icecream:payments", count=1), "the workers are notified"
        )
        for _ in range(5):
            redis.xadd("icecream:payments", entry)
    second = theatre.start("worker")
    theatre.heal()
    pays(theatre, order, 500)
    second.kill()


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(RESET_BEFORE, id="9 the request is lost"),
        pytest.param(ERROR_BEFORE, id="9 an error instead of a charge"),
        pytest.param(RESET_AFTER, id="10 charged, the answer lost"),
        pytest.param(ERROR_AFTER, id="10 charged, and an error for an answer"),
        pytest.param(TIMEOUT_AFTER, id="10 charged, and no answer for ever"),
        pytest.param(LATE, id="11 the request arrives after its repetition"),
        pytest.param(TOO_MANY, id="too many requests"),
        pytest.param(IN_USE, id="the key is in use"),
        pytest.param(PROCESSING, id="it is processed for a while"),
    ],
)
def test_the_outcome_at_the_provider_is_unknown(theatre: Theatre, ending: int) -> None:
    order = theatre.order(f"ending-{ending}", ending)
    pays(theatre, order, 500 + ending)
    (key,) = {one.key for one in theatre.sandbox.executions() if one.order == str(order)}
    keys = {one["key"] for one in theatre.sandbox.requests() if _is_of(one, order)}
    assert keys == {key}


def _is_of(request: dict[str, Any], order: int) -> bool:
    return bool(request["form"].get("metadata[order]") == str(order))


def test_12_a_worker_pauses_for_longer_than_its_lease(theatre: Theatre) -> None:
    """Two other workers, if any, continue; the paused worker wakes and repeats the request."""
    theatre.flavor(0)
    others = [theatre.start("worker") for _ in range(2)] if WHICH == "postgres" else []
    theatre.shop.ready(*others)
    theatre.at("payments.before_call", "stand")
    order = theatre.order("stands")
    pays(theatre, order, 500)
    until(lambda: not theatre.control.exists(), "a process stood still")
    if others:
        asked = until(lambda: _asked(theatre, order, 2), "it wakes, and sends it too")
        assert len({one["key"] for one in asked}) == 1
    assert theatre.moved(order) == [("charge", 500)]
    assert theatre.see(order)["status"] == "paid"
    for other in others:
        other.kill()


def _asked(theatre: Theatre, order: int, times: int) -> list[dict[str, Any]]:
    asked = [one for one in theatre.sandbox.requests() if _is_of(one, order)]
    return asked if len(asked) >= times else []


@pytest.mark.parametrize(
    ("failpoint", "status", "moved"),
    [
        pytest.param("payments.answered", "paid", [("charge", 500)], id="15 charged: adopted"),
        pytest.param("payments.before_call", "pending", [], id="15 not charged: parked"),
    ],
)
def test_an_outage_lasts_longer_than_the_keys_of_the_provider(
    theatre: Theatre, failpoint: str, status: str, moved: list[tuple[str, int]]
) -> None:
    theatre.flavor(0)
    theatre.at(failpoint)
    order = theatre.order(f"past-{failpoint}")
    theatre.died(theatre.worker)
    theatre.heal(days=2)
    until(theatre.is_idle, "nothing is left to be done")
    assert theatre.see(order)["status"] == status
    assert theatre.moved(order) == moved
    assert ("parked" in theatre.history(order)) == (status == "pending")
    # Restart the worker with the real time.
    theatre.worker.kill()
    theatre.heal()


def test_16_a_decline(theatre: Theatre) -> None:
    flavor = theatre.flavor(DECLINE)
    order = theatre.order("no", DECLINE)
    theatre.ends(order, "failed")
    assert theatre.moved(order) == []
    assert theatre.shop.http.get(f"/api/flavors/{flavor}/").json()["stock"] == 1000
    # The new attempt has a new key, so the sandbox declines it again.
    assert theatre.shop.http.post(f"/api/orders/{order}/pay/").status_code == 202
    theatre.ends(order, "failed")
    assert theatre.history(order).count("failed") == 2
    assert theatre.moved(order) == []


def test_17_an_order_is_canceled_before_its_payment_is_sent(theatre: Theatre) -> None:
    theatre.flavor(0)
    theatre.at("payments.leasing", "refuse")
    order = theatre.order("not-sent")
    answer = theatre.shop.http.post(f"/api/orders/{order}/cancel/")
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    theatre.control.unlink()
    pays(theatre, theatre.order("the-next"), 500)
    assert theatre.see(order)["status"] == "canceled"
    assert theatre.moved(order) == []


@pytest.mark.parametrize("dies", [False, True], ids=["18 lives", "18 dies with the answer"])
def test_an_order_is_canceled_during_its_charge(theatre: Theatre, dies: bool) -> None:
    theatre.flavor(SLOW)
    order = theatre.order(f"slow-{dies}", SLOW)
    until(lambda: _asked(theatre, order, 1), "the provider is asked")
    answer = theatre.shop.http.post(f"/api/orders/{order}/cancel/")
    assert (answer.status_code, answer.json()["cancel_requested"]) == (202, True)
    if dies:
        theatre.at("payments.answered")
        theatre.died(theatre.worker)
        theatre.heal()
    assert theatre.ends(order, "canceled")["refunded"] == 500 + SLOW
    assert theatre.moved(order) == [("charge", 500 + SLOW), ("refund", 500 + SLOW)]


@pytest.mark.only("sqlite")
def test_21_the_disk_is_full(theatre: Theatre) -> None:
    theatre.flavor(0)
    before = theatre.shop.http.get("/api/orders/").json()
    theatre.at("orders.before_commit", "full")
    answer = theatre.ask("full")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert theatre.ask("full").status_code == 503
    assert theatre.shop.http.get("/api/orders/").json() == before
    theatre.at("orders.before_commit", "empty")
    pays(theatre, theatre.order("full"), 500)


@pytest.mark.parametrize("ending", [PROCESSING, DUPLICATE_WEBHOOKS])
def test_webhook_events_are_stored_and_applied_once(theatre: Theatre, ending: int) -> None:
    order = theatre.order(f"webhook-{ending}", ending)
    pays(theatre, order, 500 + ending)
    (key,) = {one.key for one in theatre.sandbox.executions() if one.order == str(order)}

    def is_applied() -> bool:
        return bool(theatre.applied_events(key))

    until(is_applied, "the webhook event is applied")
    assert theatre.history(order) == ["placed", "paid"]


def test_a_payment_with_another_amount_is_parked(theatre: Theatre) -> None:
    order = theatre.order("wrong", WRONG_AMOUNT)
    until(lambda: "parked" in theatre.history(order), "it is parked")
    assert theatre.see(order)["status"] == "pending"
    ((kind, amount),) = theatre.moved(order)
    assert (kind, amount != 500 + WRONG_AMOUNT) == ("charge", True)


def test_a_payment_at_the_provider_is_booked_by_an_operator(theatre: Theatre) -> None:
    order = theatre.order("dashboard")
    theatre.ends(order, "paid")
    (charge,) = [one for one in theatre.sandbox.executions() if one.order == str(order)]
    refunds, form = f"{theatre.sandbox.url}/v1/refunds", {"payment_intent": charge.reference}
    key = {"Authorization": "Bearer sk_test_dashboard"}
    assert httpx.post(refunds, data=form | {"amount": "200"}, headers=key).status_code == 200
    plan = theatre.shop.run("reconcile")
    assert plan.returncode == 1
    assert "book: payment" in plan.stdout
    assert "2.00 EUR was refunded at the provider, not by us\n" in plan.stdout
    assert theatre.see(order)["refunded"] == 0
    assert " - booked\n" in theatre.shop.run("reconcile", "--yes").stdout
    assert theatre.see(order)["refunded"] == 200
    # One of our refunds fails after it had succeeded.
    path = f"/api/orders/{order}/refund/"
    theatre.shop.http.post(path, json={"reason": "melted", "amount": 100 + REFUND_FAILS})
    theatre.gave(order, 317)
    until(lambda: "failed" in {one.result for one in theatre.sandbox.executions()}, "it fails")
    theatre.shop.run("reconcile", "--yes")
    assert theatre.see(order)["refunded"] == 200
    assert "refund-failed" in theatre.history(order)
    (parked,) = theatre.shop.http.get(f"/api/payments/?order={order}&state=parked").json()
    released = theatre.shop.http.post(
        f"/api/payments/{parked['id']}/release/", json={"reason": "it went back"}
    )
    assert released.status_code == 200
    theatre.shop.http.post(path, json={"reason": "again"})
    assert theatre.ends(order, "refunded")["refunded"] == 500
