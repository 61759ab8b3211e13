"""Test the sandbox: it behaves like Stripe, causes faults, and its ledger survives a kill."""

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sized
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from icecream.cli import commands, main
from icecream.payments.providers import (
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    Refund,
    Request,
    RetryLater,
    Succeeded,
)
from icecream.payments.providers import stripe as adapter
from icecream.payments.providers.stripe import StripeProvider
from icecream.sandbox import FAULT_BY_DIGITS, FAULTS, Bank, Faults, RequestHandler, create_app
from icecream.sandbox.ledger import Ledger
from icecream.sandbox.objects import MESSAGES, ChangeEntry
from icecream.sandbox.objects import RefundObject as SandboxRefund
from icecream.sandbox.webhooks import Webhooks
from tests import servers
from tests.processes import until
from tests.sandboxes import WEBHOOK_SECRET, Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
HOOKS = servers.free_port()
# Seconds until a client gives up.
PATIENT, IMPATIENT = 5.0, 0.5
FORM = {
    "amount": "1200",
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "metadata[reference]": "by hand",
}


@pytest.fixture(scope="module")
async def hooks(anyio_backend: str) -> AsyncIterator["Hooks"]:
    """A receiver that outlives the sandbox, so that no webhook is cut off halfway."""
    reader = StripeProvider("sk_test_tests", secret=WEBHOOK_SECRET)
    hooks = Hooks(reader)
    server = await asyncio.start_server(hooks.serve, "127.0.0.1", HOOKS)
    yield hooks
    server.close()
    await reader.close()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory, hooks: "Hooks") -> Iterator[Sandbox]:
    webhook_options = ("--webhook-url", f"http://127.0.0.1:{HOOKS}/")
    folder = tmp_path_factory.mktemp("sandbox")
    running = Sandbox(folder, "--fault-amounts", *webhook_options, holding=True)
    yield running
    running.end()


@pytest.fixture
async def provider(sandbox: Sandbox) -> AsyncIterator[StripeProvider]:
    made = StripeProvider("sk_test_tests", secret=WEBHOOK_SECRET, api=sandbox.url, timeout=PATIENT)
    yield made
    await made.close()


@pytest.fixture
async def hurried(sandbox: Sandbox) -> AsyncIterator[StripeProvider]:
    made = StripeProvider(
        "sk_test_tests", secret=WEBHOOK_SECRET, api=sandbox.url, timeout=IMPATIENT
    )
    yield made
    await made.close()


@pytest.fixture
async def by_hand(sandbox: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": "Bearer sk_test_tests"}
    async with httpx.AsyncClient(base_url=sandbox.url, headers=headers) as client:
        yield client


def charge(amount: int = 1200, method: str = "pm_card_visa") -> Charge:
    return Charge(secrets.token_hex(8), amount, "EUR", 7, method)


def faulty(fault: str) -> int:
    """Return an amount that triggers this fault."""
    return 1200 + next(digits for digits, kind in FAULT_BY_DIGITS.items() if kind == fault)


async def answer(provider: StripeProvider, request: Request) -> Any:
    """Return the provider's answer or the exception that was raised."""
    try:
        if isinstance(request, Charge):
            return await provider.charge(request)
        return await provider.refund(request)
    except (OutcomeUnknown, RetryLater) as raised:
        return raised


# Idempotency keys.


async def post(
    client: httpx.AsyncClient, key: str | None, path: str = "/v1/payment_intents", **changed: str
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(path, data=FORM | changed, headers=headers)


@pytest.mark.parametrize(
    ("method", "status"), [("pm_card_visa", 200), ("pm_card_chargeDeclined", 402)]
)
async def test_a_repeated_request_with_the_same_key_is_replayed(
    sandbox: Sandbox, by_hand: httpx.AsyncClient, method: str, status: int
) -> None:
    key = secrets.token_hex(8)
    first, second = [
        await post(by_hand, key, payment_method=method, **{"metadata[reference]": key})
        for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (status, status)
    assert first.content == second.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Request-Id"] != second.headers["Request-Id"]
    assert (len(sandbox.requests(key)), len(sandbox.executions(key))) == (2, 1)


async def test_without_a_key_a_repeated_request_charges_again(
    by_hand: httpx.AsyncClient,
) -> None:
    first, second = [await post(by_hand, None) for _ in range(2)]
    assert first.json()["id"] != second.json()["id"]


async def test_another_request_with_a_used_key_is_refused(by_hand: httpx.AsyncClient) -> None:
    key = secrets.token_hex(8)
    made = (await post(by_hand, key)).json()
    for again in (
        await post(by_hand, key, amount="1300"),
        await by_hand.post(
            "/v1/refunds",
            data={"payment_intent": made["id"], "amount": "1"},
            headers={"Idempotency-Key": key},
        ),
    ):
        assert again.status_code == 400
        assert again.json()["error"]["type"] == "idempotency_error"


async def test_a_request_that_was_not_carried_out_leaves_its_key_free(
    by_hand: httpx.AsyncClient,
) -> None:
    key = secrets.token_hex(8)
    refused = await post(by_hand, key, payment_method="pm_of_nobody")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "payment_method"
    assert (await post(by_hand, key)).status_code == 200


async def test_a_key_is_in_use_until_its_response(
    sandbox: Sandbox, provider: StripeProvider
) -> None:
    request = charge(faulty("slow"))
    asking = asyncio.create_task(answer(provider, request))
    await asyncio.to_thread(until, sandbox.holds, "it is carried out")
    assert type(await answer(provider, request)) is RetryLater
    sandbox.go_on()
    assert type(await asking) is Succeeded


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    folder = tmp_path_factory.mktemp("forgetful")
    running = Sandbox(folder, "--key-life", "0.1", "--search-lag", "60")
    yield running
    running.end()


async def test_an_expired_key_moves_money_again(forgetful: Sandbox) -> None:
    provider, request = StripeProvider("sk_test_1", api=forgetful.url), charge()
    first = await answer(provider, request)
    await asyncio.sleep(0.15)
    second = await answer(provider, request)
    assert first.reference != second.reference
    assert len(forgetful.executions(request.key)) == 2
    await provider.close()


# Money.


@pytest.mark.parametrize(
    ("changed", "param"),
    [
        ({"payment_method_types[0]": "card"}, "payment_method_types[0]"),
        ({"amount": "0"}, "amount"),
        ({"amount": "12.5"}, "amount"),
        ({"amount": "100000000"}, "amount"),
        ({"amount": "9" * 5000}, "amount"),
        ({"currency": "eux"}, "currency"),
        ({"currency": "kwd", "amount": "1255"}, "amount"),
        ({"currency": "isk", "amount": "1250"}, "amount"),
        ({"confirm": "yes"}, "confirm"),
        ({"expand[]": "latest_charge"}, "expand: latest_charge"),
    ],
)
async def test_requests_that_stripe_refuses_are_refused(
    by_hand: httpx.AsyncClient, changed: dict[str, str], param: str
) -> None:
    refused = await post(by_hand, None, **changed)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("method", ["pm_card_chargeDeclined", "pm_card_authenticationRequired"])
async def test_some_cards_decline(provider: StripeProvider, method: str) -> None:
    assert isinstance(await answer(provider, charge(method=method)), Declined)


async def test_an_unknown_payment_method_is_declined(provider: StripeProvider) -> None:
    declined = await answer(provider, charge(method="pm_of_nobody"))
    assert isinstance(declined, Declined)
    assert "resource_missing" in declined.reason


async def test_refunds_never_exceed_the_charge(provider: StripeProvider) -> None:
    made = await answer(provider, charge(1000))
    wanted = [Refund(secrets.token_hex(8), 300, "EUR", 7, made.reference) for _ in range(10)]
    answers = await asyncio.gather(*(answer(provider, one) for one in wanted))
    assert sum(one.amount for one in answers if isinstance(one, Succeeded)) == 900
    assert sum(isinstance(one, Declined) for one in answers) == 7
    rest = await answer(provider, Refund("rest " + made.reference, 100, "EUR", 7, made.reference))
    assert isinstance(rest, Succeeded)
    more = await answer(provider, Refund("more " + made.reference, 1, "EUR", 7, made.reference))
    assert isinstance(more, Declined)
    assert "charge_already_refunded" in more.reason


async def test_a_declined_or_unknown_charge_cannot_be_refunded(provider: StripeProvider) -> None:
    request = charge(method="pm_card_chargeDeclined")
    await answer(provider, request)
    since = datetime.now(UTC) - timedelta(seconds=60)
    (record,) = [
        one async for one in provider.records(since, datetime.now(UTC)) if one.key == request.key
    ]
    for reference in (record.reference, "pi_of_nobody"):
        refund = Refund(secrets.token_hex(8), 500, "EUR", 7, reference)
        assert isinstance(await answer(provider, refund), Declined)


async def test_only_test_keys_are_accepted(sandbox: Sandbox) -> None:
    stranger = StripeProvider("sk_live_1", api=sandbox.url)
    assert isinstance(await answer(stranger, charge()), RetryLater)
    await stranger.close()


# Finding what was done.


async def test_a_charge_is_found_by_its_key(provider: StripeProvider) -> None:
    request = charge()
    made = await answer(provider, request)
    assert await provider.look_up(request, None) == made
    assert await provider.look_up(charge(), None) is None
    assert await provider.look_up(request, "pi_of_nobody") is None


async def test_a_list_continues_on_its_next_page(
    provider: StripeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "MAX_PAGE_SIZE", 3)
    since = datetime.now(UTC)
    keys = []
    for _ in range(7):
        request = charge()
        keys.append(request.key)
        await provider.charge(request)
    found = [one.key async for one in provider.records(since, datetime.now(UTC))]
    assert [key for key in found if key in keys] == keys[::-1]
    assert [one async for one in provider.records(since - timedelta(9), since - timedelta(1))] == []


async def listed(by_hand: httpx.AsyncClient, path: str, **query: str) -> httpx.Response:
    return await by_hand.get(f"/v1/{path}", params=query)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["id"] for one in answer.json()["data"]]


async def test_a_list_has_the_paging_and_filters_of_stripe(
    by_hand: httpx.AsyncClient,
) -> None:
    made = [(await post(by_hand, None)).json() for _ in range(4)]
    oldest, second, third, newest = (one["id"] for one in made)
    expanded = {"limit": "2", "expand[]": "data.customer", "starting_after": newest}
    assert ids(await listed(by_hand, "payment_intents", **expanded)) == [third, second]
    before = await listed(by_hand, "payment_intents", limit="2", ending_before=oldest)
    assert (ids(before), before.json()["has_more"]) == ([third, second], True)
    rest = await listed(by_hand, "payment_intents", limit="2", ending_before=third)
    assert (ids(rest), rest.json()["has_more"]) == ([newest], False)
    exact = await listed(by_hand, "payment_intents", created=str(made[3]["created"]), limit="100")
    assert newest in ids(exact)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("payment_intents", {"limit": "abc"}),
        ("payment_intents", {"limit": "0"}),
        ("payment_intents", {"limit": "101"}),
        ("payment_intents", {"colour": "red"}),
        ("payment_intents", {"created[near]": "1"}),
        ("payment_intents", {"created": "today"}),
        ("payment_intents", {"ending_before": "pi_of_nobody"}),
        ("payment_intents/search", {"colour": "red"}),
        ("refunds", {"customer": "cus_1"}),
    ],
)
async def test_invalid_lists_are_refused_in_stripes_format(
    by_hand: httpx.AsyncClient, path: str, query: dict[str, str]
) -> None:
    refused = await listed(by_hand, path, **query)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, next(iter(query)))
    assert error["param"] in error["message"]


async def test_an_internal_error_has_stripes_format(
    by_hand: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An SDK would treat a 500 without an error object as an answer."""
    bank = Bank(tmp_path / "ledger.jsonl", key_life=1)
    monkeypatch.setattr(bank, "intents", None)
    webhooks = Webhooks(None, "secret")
    app = create_app(bank, RequestHandler(bank, Faults({}), webhooks, slow=0, late=0), search_lag=0)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://sandbox") as client:
        failed = await client.get("/v1/payment_intents", headers=by_hand.headers)
    assert (failed.status_code, failed.json()["error"]["type"]) == (500, "api_error")


async def test_a_refund_without_an_amount_refunds_the_remainder(
    by_hand: httpx.AsyncClient,
) -> None:
    intent = (await post(by_hand, None)).json()
    form = {"payment_intent": intent["id"]}
    part = await by_hand.post("/v1/refunds", data=form | {"amount": "200"})
    rest = await by_hand.post("/v1/refunds", data=form)
    assert (part.json()["amount"], rest.json()["amount"]) == (200, 1000)


@pytest.mark.parametrize(
    ("method", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        (
            "pm_card_visa_chargeDeclinedInsufficientFunds",
            *("card_declined", "insufficient_funds"),
        ),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
async def test_a_decline_has_stripes_codes_and_messages(
    by_hand: httpx.AsyncClient, method: str, code: str, decline_code: str
) -> None:
    declined = await post(by_hand, None, payment_method=method)
    error = declined.json()["error"]
    assert (declined.status_code, error["code"], error["decline_code"]) == (402, code, decline_code)
    assert error["message"] == MESSAGES.get(decline_code, MESSAGES[code])


async def test_the_api_key_may_be_the_user_name(sandbox: Sandbox) -> None:
    async with httpx.AsyncClient(base_url=sandbox.url) as client:
        taken = await client.get("/v1/refunds", auth=("sk_test_tests", ""))
        refused = await client.get("/v1/refunds", auth=("sk_live_tests", ""))
        garbled = await client.get("/v1/refunds", headers={"Authorization": b"Basic \xe9"})
    assert [one.status_code for one in (taken, refused, garbled)] == [200, 401, 401]


async def test_a_search_may_lag_behind(forgetful: Sandbox) -> None:
    provider, request = StripeProvider("sk_test_1", api=forgetful.url), charge()
    made = await answer(provider, request)
    assert await provider.look_up(request, None) is None
    assert await provider.look_up(request, made.reference) == made
    await provider.close()


# Faults: the first answer, the executions by then, the answer to a retry, the executions in the
# end.

EXPECTED: dict[str, tuple[type, int, type, int]] = {
    # This fault concerns refunds: a charge does not fail later.
    "refund-fails": (Succeeded, 1, Succeeded, 1),
    "decline": (Declined, 1, Declined, 1),
    "refuse": (OutcomeUnknown, 0, Succeeded, 1),
    "reset-before": (OutcomeUnknown, 0, Succeeded, 1),
    "reset-after": (OutcomeUnknown, 1, Succeeded, 1),
    "500-before": (OutcomeUnknown, 0, Succeeded, 1),
    # The saved answer under this key is the error: only a look-up shows the charge.
    "500-after": (OutcomeUnknown, 1, OutcomeUnknown, 1),
    "timeout-before": (OutcomeUnknown, 0, Succeeded, 1),
    "timeout-after": (OutcomeUnknown, 1, Succeeded, 1),
    "slow": (OutcomeUnknown, 0, RetryLater, 1),
    "late": (OutcomeUnknown, 0, Succeeded, 1),
    "429": (RetryLater, 0, Succeeded, 1),
    "in-use": (RetryLater, 0, Succeeded, 1),
    "wrong-amount": (Succeeded, 1, Succeeded, 1),
    "duplicate-webhooks": (Succeeded, 1, Succeeded, 1),
    "processing": (OutcomeUndecided, 1, OutcomeUndecided, 1),
    "requires-action": (Declined, 1, Declined, 1),
}

WAITED_FOR = ("timeout-before", "timeout-after", "slow", "late")
HELD = ("slow", "late", "processing")


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_affects_one_request_and_money_moves_at_most_once(
    sandbox: Sandbox, provider: StripeProvider, hurried: StripeProvider, fault: str
) -> None:
    first, done, second, in_the_end = EXPECTED[fault]
    request = charge(faulty(fault))
    asking = hurried if fault in WAITED_FOR else provider
    assert type(await answer(asking, request)) is first
    until(lambda: len(sandbox.executions(request.key)) == done, "it was done at first")
    assert type(await answer(provider, request)) is second
    if fault in HELD:
        sandbox.go_on()
    until(lambda: len(sandbox.executions(request.key)) == in_the_end, "it was done")
    if fault == "late":
        # The late request is carried out before the next request is answered.
        await answer(provider, charge())
        assert len(sandbox.executions(request.key)) == in_the_end
    received = [one["fault"] for one in sandbox.requests(request.key)]
    assert received == ([None] if fault == "refuse" else [fault, None])


async def test_a_late_request_is_carried_out_after_the_client_disconnected(
    sandbox: Sandbox, provider: StripeProvider, hurried: StripeProvider
) -> None:
    request = charge(faulty("late"))
    assert type(await answer(hurried, request)) is OutcomeUnknown
    assert sandbox.executions(request.key) == []
    # In a thread: the client disconnects in the next turn of the event loop.
    await asyncio.to_thread(sandbox.go_on)
    await asyncio.to_thread(until, lambda: sandbox.executions(request.key), "it is carried out")
    assert isinstance(await provider.look_up(request, None), Succeeded)
    # The key may still be in use for a short time.
    assert type(await answer(provider, request)) in (Succeeded, RetryLater)
    assert len(sandbox.executions(request.key)) == 1


async def test_a_payment_behind_a_stored_error_is_found(provider: StripeProvider) -> None:
    request = charge(faulty("500-after"))
    assert type(await answer(provider, request)) is OutcomeUnknown
    found = await provider.look_up(request, None)
    assert isinstance(found, Succeeded)
    assert found.amount == request.amount


async def test_the_moved_amount_may_differ(sandbox: Sandbox, provider: StripeProvider) -> None:
    request = charge(faulty("wrong-amount"))
    moved = await answer(provider, request)
    assert moved.amount == request.amount - 1
    assert [one.amount for one in sandbox.executions(request.key)] == [moved.amount]


async def test_a_processing_payment_succeeds_later(
    sandbox: Sandbox, provider: StripeProvider, hooks: "Hooks"
) -> None:
    request = charge(faulty("processing"))
    processed = await answer(provider, request)
    with pytest.raises(OutcomeUnknown):
        await provider.look_up(request, processed.reference)
    sandbox.go_on()
    await hooks.wait_for(request.key, "payment_intent.succeeded")
    assert await provider.look_up(request, processed.reference) == Succeeded(
        processed.reference, request.amount, "EUR"
    )


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("decline", Declined), ("reset-after", OutcomeUnknown), ("wrong-amount", Succeeded)],
)
async def test_refunds_have_faults_too(
    sandbox: Sandbox, provider: StripeProvider, fault: str, kind: type
) -> None:
    made = await answer(provider, charge(5000))
    refund = Refund(secrets.token_hex(8), faulty(fault), "EUR", 7, made.reference)
    assert type(await answer(provider, refund)) is kind
    assert len(sandbox.executions(refund.key)) == 1


async def test_a_refund_may_be_pending_first(
    sandbox: Sandbox, provider: StripeProvider, hooks: "Hooks"
) -> None:
    made = await answer(provider, charge(5000))
    refund = Refund(secrets.token_hex(8), faulty("processing"), "EUR", 7, made.reference)
    assert type(await answer(provider, refund)) is OutcomeUndecided
    sandbox.go_on()
    await hooks.wait_for(refund.key, "refund.updated", times=2)
    assert isinstance(await provider.look_up(refund, None), Succeeded)


async def test_a_refund_may_fail_after_it_had_succeeded(
    sandbox: Sandbox, provider: StripeProvider, hooks: "Hooks", by_hand: httpx.AsyncClient
) -> None:
    made = await answer(provider, charge(5000))
    refund = Refund(secrets.token_hex(8), faulty("refund-fails"), "EUR", 7, made.reference)
    given = await answer(provider, refund)
    assert isinstance(given, Succeeded)
    sandbox.go_on()
    await hooks.wait_for(refund.key, "refund.failed")
    failed = await provider.look_up(refund, given.reference)
    assert failed == Declined("failed: expired_or_canceled_card")
    # The same request gets the same answer as before, and its money can be refunded again.
    assert await answer(provider, refund) == given
    again = await by_hand.post("/v1/refunds", data={"payment_intent": made.reference})
    assert again.json()["amount"] == 5000


async def test_a_refund_made_in_the_dashboard_is_listed_without_a_key(
    provider: StripeProvider, by_hand: httpx.AsyncClient
) -> None:
    since = datetime.now(UTC)
    made = await answer(provider, charge(5000))
    form = {"payment_intent": made.reference, "amount": "200"}
    refund = (await by_hand.post("/v1/refunds", data=form)).json()
    until = datetime.now(UTC) + timedelta(seconds=2)
    listed = {one.reference: one async for one in provider.records(since, until)}
    found = listed[refund["id"]]
    assert (found.key, found.charge, found.amount) == (None, made.reference, 200)
    assert listed[made.reference].charge is None


async def test_a_reset_ends_the_connection_with_rst(sandbox: Sandbox) -> None:
    body = httpx.QueryParams(FORM | {"amount": str(faulty("reset-before"))})
    lines = (
        "POST /v1/payment_intents HTTP/1.1",
        "Host: sandbox",
        "Authorization: Bearer sk_test_1",
        f"Content-Length: {len(str(body))}",
        "",
        str(body),
    )
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection:
        await asyncio.to_thread(connection.sendall, "\r\n".join(lines).encode())
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(connection.recv, 1)


def test_the_same_seed_gives_the_same_faults() -> None:
    rates = {"decline": 0.2, "429": 0.1}

    def drawn(seed: int) -> list[str | None]:
        faults = Faults(rates, seed=seed)
        return [faults.choose("1200", first=True) for _ in range(2000)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 300 < drawn(1).count("decline") < 500
    assert 120 < drawn(1).count("429") < 280
    assert set(drawn(1)) == {"decline", "429", None}


async def test_random_faults_affect_reads_too(tmp_path: Path) -> None:
    ill = Sandbox(tmp_path, "--fault", "500-after=0.5", "--fault", "in-use=0.5")
    provider = StripeProvider("sk_test_1", api=ill.url)
    answers = []
    for _ in range(20):
        with contextlib.suppress(OutcomeUnknown):
            answers.append(await provider.look_up(charge(), None))
    assert 0 < len(answers) < 20
    assert set(answers) == {None}
    await provider.close()
    ill.end()


@pytest.mark.parametrize(
    "options",
    [
        ("--fault", "fire=0.1"),
        ("--fault", "decline"),
        ("--fault", "429=0.6", "--fault", "late=0.6"),
    ],
)
def test_an_invalid_fault_is_reported_in_one_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["sandbox", "--ledger", str(tmp_path / "ledger"), *options])
    assert result.exit_code != 0
    assert isinstance(result.exception, SystemExit)
    assert "fault" in result.output + str(result.exception)


# Webhooks.


class Hooks:
    """Receives the webhooks of the sandbox, and refuses each of them once."""

    def __init__(self, reader: StripeProvider) -> None:
        self._reader = reader
        self.received: list[tuple[str, str, str]] = []
        self._refused: set[bytes] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:]]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        again = body in self._refused
        self._refused.add(body)
        if again:
            self._hear(body, headers)
        status = "200 OK" if again else "503 Not now"
        writer.write(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode())
        writer.close()

    def _hear(self, body: bytes, headers: dict[str, str]) -> None:
        event = self._reader.parse_webhook(body, headers)
        if event is not None:
            self.received.append((event.id, event.key, json.loads(body)["type"]))

    async def wait_for(self, key: str, type_: str, times: int = 1) -> list[str]:
        """Return the ids of the events of that type about a payment, once there are so many."""

        def events() -> list[str]:
            return [event for event, about, kind in self.received if (about, kind) == (key, type_)]

        deadline = time.monotonic() + 10
        while len(events()) < times:
            assert time.monotonic() < deadline, self.received
            await asyncio.sleep(0.02)
        return events()


async def test_webhooks_are_signed_and_retried_until_accepted(
    provider: StripeProvider, hooks: Hooks
) -> None:
    paid, declined = charge(), charge(method="pm_card_chargeDeclined")
    made = await answer(provider, paid)
    await answer(provider, declined)
    refund = Refund(secrets.token_hex(8), 500, "EUR", 7, made.reference)
    await answer(provider, refund)
    events = [
        *await hooks.wait_for(paid.key, "payment_intent.succeeded"),
        *await hooks.wait_for(declined.key, "payment_intent.payment_failed"),
        *await hooks.wait_for(refund.key, "refund.updated"),
    ]
    assert len(set(events)) == 3


async def test_a_webhook_may_arrive_twice(provider: StripeProvider, hooks: Hooks) -> None:
    request = charge(faulty("duplicate-webhooks"))
    await answer(provider, request)
    (event, again) = await hooks.wait_for(request.key, "payment_intent.succeeded", times=2)
    assert event == again


async def test_a_reset_connection_does_not_lose_a_webhook() -> None:
    troubles = [httpx.ReadError("reset"), AttributeError("anyio under uvloop, reset early")]
    received = asyncio.Event()

    def receive(request: httpx.Request) -> httpx.Response:
        if troubles:
            raise troubles.pop()
        received.set()
        return httpx.Response(200)

    webhooks = Webhooks("http://shop/", WEBHOOK_SECRET)
    webhooks._client = httpx.AsyncClient(transport=httpx.MockTransport(receive))
    webhooks.send(
        SandboxRefund(
            id="re_1",
            amount=1,
            currency="eur",
            status="succeeded",
            created=0,
            payment_intent="pi_1",
            metadata={},
        )
    )
    await asyncio.wait_for(received.wait(), 10)


# The ledger.


def _holds(some: Sized, enough: int) -> bool:
    return len(some) >= enough


async def test_responses_are_remembered_after_a_kill(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    provider = StripeProvider("sk_test_1", api=sandbox.url, timeout=2)
    answered: dict[str, tuple[Charge, Succeeded]] = {}

    async def buy() -> None:
        while True:
            request = charge()
            made = await answer(provider, request)
            if not isinstance(made, Succeeded):
                return
            answered[request.key] = (request, made)

    for enough in (40, 80):
        buyers = [asyncio.create_task(buy()) for _ in range(8)]
        await asyncio.to_thread(until, partial(_holds, answered, enough), "some were answered")
        sandbox.process.kill()
        await asyncio.gather(*buyers)
        with sandbox.ledger.open("ab") as ledger:
            ledger.write(b'{"entry": "execution", "torn')
        sandbox.end()
        sandbox.start()
        done = {one.key: one.reference for one in sandbox.executions()}
        for request, made in answered.values():
            assert done[request.key] == made.reference
    for request, made in list(answered.values())[::10]:
        assert await answer(provider, request) == made
    assert len(sandbox.executions()) == len({one.key for one in sandbox.executions()})
    await provider.close()
    sandbox.end()


async def test_processing_payments_end_after_a_kill(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path, "--fault-amounts", "--late", "0.3")
    provider, request = StripeProvider("sk_test_1", api=sandbox.url), charge(faulty("processing"))
    processed = await answer(provider, request)
    sandbox.process.kill()
    sandbox.end()
    sandbox.start()
    until(lambda: sandbox.executions()[0].result == "succeeded", "it succeeds")
    assert isinstance(await provider.look_up(request, processed.reference), Succeeded)
    await provider.close()
    sandbox.end()


async def test_no_response_is_sent_before_the_ledger_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, synced = Ledger(tmp_path / "ledger"), []

    def sync(file: int) -> None:
        synced.append((tmp_path / "ledger").read_bytes().count(b"\n"))

    monkeypatch.setattr("os.fdatasync", sync)
    for reference in ("a", "b"):
        ledger.append(ChangeEntry(at=0, reference=reference, status="succeeded"))
    await asyncio.gather(*(ledger.flush() for _ in range(5)))
    assert synced == [2]
    ledger.close()


def test_two_sandboxes_do_not_share_a_ledger(sandbox: Sandbox) -> None:
    result = CliRunner().invoke(main, ["sandbox", "--ledger", str(sandbox.ledger)])
    assert result.exit_code == 1
    assert str(result.exception).startswith("icecream: ")


def test_a_ledger_that_is_damaged_in_the_middle_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_bytes(b"damage\n{}\n")
    result = CliRunner().invoke(main, ["sandbox", "--ledger", str(tmp_path / "ledger")])
    assert result.exit_code == 1
    assert str(result.exception).startswith("icecream: ")


def test_an_invalid_port_is_refused() -> None:
    answer = CliRunner().invoke(commands.main, ["sandbox", "--port", "65536"])
    assert answer.exit_code == 2
    assert "Invalid value for '--port'" in answer.output
