"""Test that requests with the same Idempotency-Key are carried out once."""

import asyncio
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from msgspec import Struct

from icecream import database, errors, fields, settings
from icecream.idempotency import keys
from icecream.orders import placing
from icecream.payments.providers import Declined, Succeeded
from icecream.tables import Flavor, IdempotencyKey, Order
from tests import ledger
from tests.conftest import ADMIN_PASSWORD, Caller, carry_out, new_flavor, parked, payment_id, place
from tests.processes import Shop

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ("8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (r'"a\"b\\c"', r'a"b\c'),
        ("a;b,c=d/e?", "a;b,c=d/e?"),
        ("k" * 255, "k" * 255),
        ('"' + r"\\" * 255 + '"', "\\" * 255),
    ],
)
def test_a_key_is_a_quoted_string_or_bare(field: str, word: str) -> None:
    assert keys.parse_key(field) == word


BAD = [
    "",
    '""',
    '"',
    '"abc',
    'abc"',
    'a"b',
    "a b",
    '"a b"',
    r'"a\b"',
    '"a";p=1',
    '"a", "b"',
    "k" * 256,
    "\u00e9",
    "a\x7f",
]


@pytest.mark.parametrize("field", BAD)
def test_anything_else_is_refused(field: str) -> None:
    with pytest.raises(errors.IdempotencyKeyInvalid):
        keys.parse_key(field)


@pytest.mark.parametrize("field", [one for one in BAD if one.isascii() and one.isprintable()])
async def test_a_bad_key_is_400_and_nothing_is_placed(
    customer: Caller, flavor: int, field: str
) -> None:
    answer = await order(customer, flavor, field)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency-key-invalid")
    assert (await customer.get("/api/orders/")).json() == []


async def order(
    caller: Caller,
    flavor: int,
    key: str,
    quantity: Any = 1,
    path: str = "/api/orders/",
    **body: Any,
) -> httpx.Response:
    body = body or {"json": {"flavor": flavor, "quantity": quantity}}
    return await caller.request("POST", path, headers={"Idempotency-Key": key}, **body)


def replayed(answer: httpx.Response) -> bool:
    assert answer.status_code == 200, answer.text
    return "idempotent-replayed" in answer.headers


async def test_a_repeated_request_gets_the_same_response(customer: Caller, flavor: int) -> None:
    first = await order(customer, flavor, "again")
    assert not replayed(first)
    again = [
        await order(customer, flavor, '"again"'),
        await order(customer, flavor, "again", quantity="1"),
        await order(customer, flavor, "again", path="/api/orders"),
        await order(customer, flavor, "again", data={"flavor": flavor, "quantity": 1}),
    ]
    for answer in again:
        assert replayed(answer)
        assert answer.content == first.content
    assert len((await customer.get("/api/orders/")).json()) == 1
    await ledger.check()


async def test_a_key_is_for_one_request_of_one_user(
    customer: Caller, stranger: Caller, flavor: int
) -> None:
    assert not replayed(await order(customer, flavor, "mine"))
    for body in ({"flavor": flavor, "quantity": 2}, {"lines": [{"flavor": flavor, "quantity": 9}]}):
        answer = await order(customer, flavor, "mine", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")
    assert not replayed(await order(stranger, flavor, "mine"))
    assert len((await customer.get("/api/orders/")).json()) == 1


async def test_a_key_of_a_delivery_is_none_for_an_order(
    staff: Caller, stranger: Caller, flavor: int
) -> None:
    receipt: dict[str, Any] = {"quantity": 40, "reason": "delivery"}
    path = f"/api/flavors/{flavor}/stock/"
    assert not replayed(await order(staff, flavor, "either", path=path, json=receipt))
    other, neighbour = await asyncio.gather(
        order(staff, flavor, "either"), order(stranger, flavor, "either")
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")
    assert not replayed(neighbour)
    assert not replayed(await order(staff, flavor, "order-first"))
    other = await order(staff, flavor, "order-first", path=path, json=receipt)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


@pytest.mark.only("postgres")
async def test_only_a_request_that_waits_too_long_for_the_first_is_refused(
    customer: Caller, stranger: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "LOCK_TIMEOUT_SECONDS", 0.2)
    first = await asyncpg.connect(settings.load().database_url)
    await first.execute("BEGIN")
    await first.execute(
        'INSERT INTO idempotency_key ("user", key, fingerprint, status, answer, created_at)'
        " VALUES ($1, 'busy', '', 200, '{}', now())",
        customer.user.id,
    )
    busy, free = await asyncio.gather(
        order(customer, flavor, "busy"), order(stranger, flavor, "busy")
    )
    assert (busy.status_code, busy.json()["code"]) == (409, "idempotency-key-in-use")
    assert busy.headers["retry-after"] == "1"
    assert not replayed(free)
    await first.close()
    assert not replayed(await order(customer, flavor, "busy"))
    await ledger.check()


async def test_a_request_without_effect_is_carried_out_when_repeated(customer: Caller) -> None:
    flavor = await new_flavor(stock=1)
    for quantity, status in ((0, 400), (2, 409)):
        answer = await order(customer, flavor, "later", quantity)
        assert answer.status_code == status
    assert await IdempotencyKey.count().where(IdempotencyKey.user == customer.user.id) == 0
    assert not replayed(await order(customer, flavor, "later"))
    assert replayed(await order(customer, flavor, "later"))


async def test_two_hundred_at_once_are_one_order_and_the_same_answer(
    customer: Caller, flavor: int
) -> None:
    answers = await asyncio.gather(*(order(customer, flavor, "storm") for _ in range(200)))
    assert len({answer.content for answer in answers}) == 1
    assert [replayed(answer) for answer in answers].count(False) == 1
    assert len((await customer.get("/api/orders/")).json()) == 1
    await ledger.check()


def blind_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Make the next look-up of a key find nothing, as if another process had not committed yet."""
    real, blind = keys.to_responses, [1]

    def find(rows: Any) -> Any:
        return {} if blind and blind.pop() else real(rows)

    monkeypatch.setattr(keys, "to_responses", find)
    return blind


async def test_the_loser_of_a_race_gets_the_result_of_the_winner(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulate two processes that both look the key up, find nothing, and then both write."""
    first = await order(customer, flavor, "race")
    blind = blind_once(monkeypatch)
    second = await order(customer, flavor, "race")
    assert blind == []
    assert replayed(second)
    assert second.content == first.content
    assert await Order.count().where(Order.user == customer.user.id) == 1
    await ledger.check()


Call = tuple[str, dict[str, Any]]


async def paid(customer: Caller) -> int:
    flavor = await new_flavor()
    number = (await place(customer.user.id, {flavor: 4})).order
    await carry_out(number)
    return number


async def refund(customer: Caller, staff: Caller) -> Call:
    return f"/api/orders/{await paid(customer)}/refund/", {"amount": 200, "reason": "melted"}


async def whole_refund(customer: Caller, staff: Caller) -> Call:
    return f"/api/orders/{await paid(customer)}/refund/", {"reason": "melted"}


async def cancel(customer: Caller, staff: Caller) -> Call:
    return f"/api/orders/{await paid(customer)}/cancel/", {}


async def pay(customer: Caller, staff: Caller) -> Call:
    flavor = await new_flavor()
    number = (await place(customer.user.id, {flavor: 4})).order
    await carry_out(number, Declined("no"))
    return f"/api/orders/{number}/pay/", {}


async def loss_of_all_stock(customer: Caller, staff: Caller) -> Call:
    flavor = await new_flavor(stock=5)
    return f"/api/flavors/{flavor}/stock/", {"quantity": -5, "reason": "melted"}


async def new_name(customer: Caller, staff: Caller) -> Call:
    return "/api/flavors/add/", {"name": f"New at {datetime.now(UTC)}"}


async def retry(customer: Caller, staff: Caller) -> Call:
    return f"/api/payments/{payment_id(await parked(customer))}/retry/", {"reason": "it is back"}


async def release(customer: Caller, staff: Caller) -> Call:
    return f"/api/payments/{payment_id(await parked(customer))}/release/", {"reason": "not there"}


async def refund_of_parked(customer: Caller, staff: Caller) -> Call:
    placed = await parked(customer, Succeeded("ref", 999, "EUR"))
    return f"/api/payments/{payment_id(placed)}/refund/", {"reason": "a cent less"}


@pytest.mark.parametrize(
    "ready",
    [
        *(refund, whole_refund, cancel, pay, loss_of_all_stock, new_name, retry, release),
        refund_of_parked,
    ],
)
async def test_the_loser_of_a_race_gets_the_stored_response_although_the_rules_would_refuse_it(
    customer: Caller, staff: Caller, monkeypatch: pytest.MonkeyPatch, ready: Any
) -> None:
    """Simulate a second process that looks the key up before the first commits, then waits."""
    path, body = await ready(customer, staff)
    first = await order(staff, 0, "race", path=path, json=body)
    blind = blind_once(monkeypatch)
    second = await order(staff, 0, "race", path=path, json=body)
    assert blind == []
    assert first.status_code < 300, first.text
    assert second.status_code == first.status_code, second.text
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    await ledger.check()


async def test_simultaneous_requests_for_the_last_stock_get_one_answer(customer: Caller) -> None:
    """Each batch has its own connection, as in several processes."""
    user = customer.user.id
    for n in range(20):
        flavor, key = await new_flavor(stock=1), keys.RequestKey(user, f"last {n}", "one")
        requests = [placing.OrderRequest(user, {flavor: 1}, key)]
        batches = await asyncio.gather(*(placing.place_in_transaction(requests) for _ in range(4)))
        answers = [answer for batch in batches for answer in batch]
        placed = [answer for answer in answers if isinstance(answer, placing.PlacedOrder)]
        assert len(placed) == 4, answers
        assert len({answer.order for answer in placed}) == 1
        assert [answer.replayed for answer in placed].count(False) == 1
    await ledger.check()


async def test_a_race_for_one_key_with_another_request_is_a_reused_key(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    flavor = await new_flavor(stock=3)
    await order(customer, flavor, "race")
    blind_once(monkeypatch)
    answer = await order(customer, flavor, "race", quantity=2)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency-key-reused")


KILLED = """
import os, signal
from icecream.orders import placing
real = placing.place_in_transaction
async def place(*arguments):
    await real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
placing.place_in_transaction = place
"""


def test_a_kill_between_commit_and_answer_is_repaired_by_repeating_the_request(
    tmp_path: Path, empty_database: str
) -> None:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        killed = shop.begin_altered(KILLED, "serve")
        shop.ready(killed)
        shop.sign_in("admin", ADMIN_PASSWORD)
        call: dict[str, Any] = {
            "json": {"flavor": 1, "quantity": 2},
            "headers": {"Idempotency-Key": "killed"},
        }
        with pytest.raises(httpx.TransportError):
            shop.http.post("/api/orders/", **call)
        assert killed.wait() == -signal.SIGKILL
        shop.serve()
        again = [shop.http.post("/api/orders/", **call) for _ in range(2)]
        assert [replayed(answer) for answer in again] == [True, True]
        assert again[0].json() == {"status": "Order placed", "order_id": 1}
        assert [one["id"] for one in shop.books()["orders"]] == [1]


def key(caller: Caller, word: str, body: Any = None) -> keys.RequestKey:
    body = body or fields.Body()
    made = keys.request_key(word, user=caller.user.id, method="POST", path="/x/", body=body)
    assert made is not None
    return made


class Done(Struct):
    """The result of some work."""

    times: int


async def test_any_work_is_done_once(customer: Caller) -> None:
    done = []

    async def work() -> Done:
        done.append(1)
        return Done(len(done))

    asked = [keys.run_once(key(customer, "work"), work, Done) for _ in range(5)]
    answers = await asyncio.gather(*asked)
    assert len({answer.times for answer, _ in answers}) == 1
    assert [again for _, again in answers].count(False) == 1
    assert await keys.run_once(None, work, Done) == (Done(len(done)), False)
    with pytest.raises(errors.IdempotencyKeyReused):
        await keys.run_once(
            keys.RequestKey(customer.user.id, "work", "another request"), work, Done
        )


def test_another_method_or_path_is_another_request() -> None:
    paths = [("POST", "/a/"), ("PUT", "/a/"), ("POST", "/b/"), ("POST", "/a")]
    prints = [keys.fingerprint(method, path, Done(1)) for method, path in paths]
    assert len(set(prints)) == 3
    assert prints[0] == prints[3]


async def test_a_key_that_cannot_be_stored_rolls_the_work_back(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its key, the same request would be carried out twice."""

    async def work() -> Done:
        await Flavor.update({Flavor.price: 1}).where(Flavor.id == flavor)
        return Done(1)

    async def breaks(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(keys, "store_responses", breaks)
    with pytest.raises(ZeroDivisionError):
        await keys.run_once(key(customer, "work"), work, Done)
    assert await Flavor.select(Flavor.price).where(Flavor.id == flavor) == [{"price": 250}]


async def test_keys_are_written_in_one_order(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixed order prevents deadlocks between transactions."""
    written: list[tuple[Any, ...]] = []

    async def write(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        written.extend(rows)
        return rows

    monkeypatch.setattr(keys, "_INSERT_KEYS", write)
    kept = [keys.StoredResponse(key(customer, word), "{}") for word in ("c", "a", "b")]
    await keys.store_responses(kept, at=datetime.now(UTC))
    assert [row[1] for row in written] == ["a", "b", "c"]


async def test_one_key_is_not_for_two_paths(staff: Caller) -> None:
    """The same body sent to another path is a different request."""
    ones, others = [await new_flavor(stock=1) for _ in range(2)]
    body = {"quantity": 3, "reason": "delivery"}
    paths = [f"/api/flavors/{flavor}/stock/" for flavor in (ones, others)]
    first, other = [await order(staff, 0, "delivery", path=path, json=body) for path in paths]
    assert first.status_code == 200
    assert (other.status_code, other.json()["code"]) == (422, "idempotency-key-reused")


async def test_a_key_is_stored_for_seven_days(customer: Caller, flavor: int) -> None:
    await order(customer, flavor, "a-week")
    mine = IdempotencyKey.user == customer.user.id
    almost = datetime.now(UTC) - timedelta(days=7) + timedelta(minutes=5)
    await IdempotencyKey.update({IdempotencyKey.created_at: almost}).where(mine)
    await keys.prune_keys()
    assert replayed(await order(customer, flavor, "a-week"))


async def test_old_keys_are_deleted_and_young_keys_are_not(customer: Caller, flavor: int) -> None:
    for word in ("old", "young"):
        await order(customer, flavor, word)
    mine = IdempotencyKey.user == customer.user.id
    past = datetime.now(UTC) - keys.KEY_LIFETIME - timedelta(seconds=1)
    await IdempotencyKey.update({IdempotencyKey.created_at: past}).where(
        mine, IdempotencyKey.key == "old"
    )
    assert await keys.prune_keys() is False
    left = await IdempotencyKey.select(IdempotencyKey.key).where(mine)
    assert [row["key"] for row in left] == ["young"]


async def test_a_full_step_says_that_there_may_be_more(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS_PER_PRUNE", 1)
    number = (await place(customer.user.id, {flavor: 1})).order
    past = datetime.now(UTC) - 2 * keys.KEY_LIFETIME
    kept = [keys.StoredResponse(key(customer, word), "{}", number) for word in ("a", "b")]
    await database.transaction(lambda: keys.store_responses(kept, at=past))
    assert [await keys.prune_keys() for _ in range(3)] == [True, True, False]
