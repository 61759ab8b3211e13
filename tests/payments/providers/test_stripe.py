"""Test the adapter for Stripe against two independent servers and against all kinds of errors."""

import asyncio
import json
import logging
import secrets
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
import stripe

from icecream import settings
from icecream.payments import MAX_PAYMENTS_IN_FLIGHT, decline_codes, providers
from icecream.payments.providers import (
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    ProviderRecord,
    Refund,
    Request,
    RequestRefused,
    RetryLater,
    Succeeded,
    UnverifiedWebhook,
    WebhookEvent,
)
from icecream.payments.providers.stripe import StripeProvider
from icecream.payments.providers.stripe_client import environment_proxy
from tests import servers
from tests.processes import ROOT, Process
from tests.sandboxes import Sandbox

pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
SECRET = "whsec_of_the_tests"
CARD, DECLINING = "pm_card_visa", "pm_card_chargeCustomerFail"


def charge(amount: int = 1250, method: str | None = CARD) -> Charge:
    return Charge(secrets.token_hex(8), amount, "EUR", 7, method)


def refund(of: Succeeded, amount: int) -> Refund:
    return Refund(secrets.token_hex(8), amount, "EUR", 7, of.reference)


async def charged(provider: StripeProvider, amount: int = 1250) -> tuple[Charge, Succeeded]:
    asked = charge(amount)
    answer = await provider.charge(asked)
    assert isinstance(answer, Succeeded)
    return asked, answer


# Tests against both servers.


@pytest.fixture(scope="module")
def localstripe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = servers.free_port()
    program = ("-m", "tests.other_stripe")
    log = tmp_path_factory.mktemp("localstripe") / "log"
    process = Process((str(port),), {}, log, program)
    process.says("Running on")
    yield f"http://127.0.0.1:{port}"
    process.end()


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = Sandbox(tmp_path_factory.mktemp("sandbox"))
    yield running.url
    running.end()


@pytest.fixture(params=["localstripe", "sandbox"])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[StripeProvider]:
    made = StripeProvider(
        "sk_test_tests", secret=SECRET, api=request.getfixturevalue(request.param)
    )
    yield made
    await made.close()


async def test_a_charge_moves_the_requested_amount(provider: StripeProvider) -> None:
    _, answer = await charged(provider, 1250)
    assert (answer.amount, answer.currency) == (1250, "EUR")
    assert answer.reference.startswith("pi_")


async def test_a_declined_card_is_a_no_that_says_why(provider: StripeProvider) -> None:
    answer = await provider.charge(charge(method=DECLINING))
    assert isinstance(answer, Declined)
    assert "card_declined" in answer.reason


async def test_a_refund_gives_back_part_and_then_the_rest(provider: StripeProvider) -> None:
    _, answer = await charged(provider, 1000)
    for amount in (300, 700):
        given = await provider.refund(refund(answer, amount))
        assert isinstance(given, Succeeded)
        assert (given.amount, given.currency) == (amount, "EUR")
        assert given.reference.startswith("re_")


async def test_a_charge_is_found_by_its_reference(provider: StripeProvider) -> None:
    asked, answer = await charged(provider)
    assert await provider.look_up(asked, answer.reference) == answer


async def test_a_refund_is_found_by_its_reference_and_by_its_key(provider: StripeProvider) -> None:
    _, answer = await charged(provider)
    asked, other = refund(answer, 10), refund(answer, 20)
    given = await provider.refund(asked)
    await provider.refund(other)
    assert isinstance(given, Succeeded)
    assert await provider.look_up(asked, given.reference) == given
    assert await provider.look_up(asked, None) == given
    assert await provider.look_up(refund(answer, 10), None) is None


async def test_the_list_holds_all_that_is_ours(provider: StripeProvider) -> None:
    since = datetime.now(UTC) - timedelta(seconds=5)
    asked, answer = await charged(provider, 777)
    returned = refund(answer, 77)
    given = await provider.refund(returned)
    declined = charge(778, DECLINING)
    await provider.charge(declined)
    found = {one.key: one async for one in provider.records(since, datetime.now(UTC))}
    assert isinstance(given, Succeeded)
    assert _seen(found[asked.key]) == ("charge", 7, answer.reference, 777, "EUR", "succeeded")
    assert _seen(found[returned.key]) == ("refund", 7, given.reference, 77, "EUR", "succeeded")
    assert _seen(found[declined.key])[3:] == (778, "EUR", "declined")
    assert abs(found[asked.key].created - datetime.now(UTC)) < timedelta(seconds=60)


def _seen(record: ProviderRecord) -> tuple[object, ...]:
    one = record
    return one.kind, one.order, one.reference, one.amount, one.currency, one.state


# Errors.


class Stub:
    """A server that gives the same answer to every request; None closes the connection."""

    url = ""

    def __init__(self) -> None:
        self.answer: bytes | None = None
        self.received = b""
        self.connections = 0
        # An answer waits until so many requests wait.
        self.together = asyncio.Barrier(1)

    def says(self, status: int, body: object) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nRequest-Id: req_1\r\nContent-Length: {len(text)}\r\n\r\n"
        self.answer = head.encode() + text

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                _, _, length = head.lower().partition(b"content-length: ")
                self.received = head + await reader.readexactly(
                    int(length.split()[0] if length else 0)
                )
                await self.together.wait()
                if self.answer is None:
                    break
                writer.write(self.answer)
        writer.close()


@pytest.fixture
async def stub() -> AsyncIterator[tuple[Stub, StripeProvider]]:
    stub = Stub()
    server = await asyncio.start_server(stub.serve, "127.0.0.1", 0, backlog=1000)
    stub.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    made = StripeProvider("sk_test_tests", secret=SECRET, api=stub.url)
    yield stub, made
    await made.close()
    server.close()


def error(type_: str, **more: str) -> dict[str, Any]:
    return {"error": {"type": type_, "message": "4242 is a number of a card", **more}}


def intent(**changed: Any) -> dict[str, Any]:
    plain = {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 1250,
        "amount_received": 1250,
        "currency": "eur",
        "created": 1_700_000_000,
        "metadata": {},
        "last_payment_error": None,
    }
    return plain | changed


def given(status: str) -> dict[str, Any]:
    return {
        "id": "re_1",
        "object": "refund",
        "status": status,
        "amount": 5,
        "currency": "eur",
        "created": 1_700_000_000,
    }


async def test_calls_at_the_same_time_have_a_connection_each_and_keep_it(
    stub: tuple[Stub, StripeProvider],
) -> None:
    server, provider = stub
    server.says(200, intent())
    server.together = asyncio.Barrier(MAX_PAYMENTS_IN_FLIGHT + 10)
    for _ in range(2):
        calls = [provider.charge(charge()) for _ in range(server.together.parties)]
        assert {type(answer) for answer in await asyncio.gather(*calls)} == {Succeeded}
    assert server.connections == server.together.parties


INVALID = "invalid_request_error"
REFUSED = {"code": "card_declined", "decline_code": "insufficient_funds"}
CHARGES: list[tuple[int, object, type]] = [
    (200, intent(), Succeeded),
    (200, intent(amount_received=5), Succeeded),
    (200, intent(status="requires_action"), Declined),
    (200, intent(status="canceled"), Declined),
    (200, intent(status="requires_payment_method", last_payment_error=REFUSED), Declined),
    # Stripe is confirming the payment at this time.
    (200, intent(status="requires_payment_method"), OutcomeUndecided),
    (200, intent(status="requires_confirmation"), OutcomeUndecided),
    (200, intent(status="requires_capture"), OutcomeUndecided),
    (200, intent(status="processing"), OutcomeUndecided),
    (200, intent(status="something new"), OutcomeUndecided),
    # An answer that is not Stripe's, or that is cut off.
    (200, {}, OutcomeUnknown),
    (200, [], OutcomeUnknown),
    (200, None, OutcomeUnknown),
    (200, intent(amount="12.50"), OutcomeUnknown),
    (200, b"<html>", OutcomeUnknown),
    (200, b"\xff\xfe", OutcomeUnknown),
    (302, b"", OutcomeUnknown),
    (500, error("api_error"), OutcomeUnknown),
    (500, {"error": "oops"}, OutcomeUnknown),
    (500, {"error": ["oops"]}, OutcomeUnknown),
    (502, b"bad gateway", OutcomeUnknown),
    (503, b"", OutcomeUnknown),
    (402, error("card_error", **REFUSED), Declined),
    (402, error("card_error", code="authentication_required"), Declined),
    (400, error(INVALID, code="resource_missing", param="payment_method"), Declined),
    (400, error(INVALID, code="resource_missing", param="customer"), Declined),
    (400, error(INVALID, code="amount_too_small", param="amount"), Declined),
    # An error of ours or of the account: the customer cannot fix it, but staff may.
    (400, error(INVALID, code="parameter_unknown", param="confirm"), RequestRefused),
    (400, error(INVALID, code="testmode_charges_only"), RequestRefused),
    (400, error(INVALID, param="off_session"), RequestRefused),
    (404, error(INVALID), RequestRefused),
    (401, error(INVALID), RequestRefused),
    (403, error(INVALID), RequestRefused),
    # Only a type and a message: the payment method was used before, or is detached.
    (400, error(INVALID), Declined),
    (400, error(INVALID, code="payment_method_unactivated"), Declined),
    (400, error(INVALID, code="payment_intent_authentication_failure"), Declined),
    (400, error(INVALID, code="a new one, about a payment"), Declined),
    (429, error("rate_limit_error"), RetryLater),
    (429, error(INVALID, code="lock_timeout"), RetryLater),
    (409, error("idempotency_error", code="idempotency_key_in_use"), RetryLater),
    # The key belongs to a request that moved other money, so the result of this one is unknown.
    (400, error("idempotency_error"), OutcomeUndecided),
]
REFUNDS: list[tuple[int, object, type]] = [
    (200, given("succeeded"), Succeeded),
    (200, given("failed"), Declined),
    (200, given("canceled"), Declined),
    (200, given("pending"), OutcomeUndecided),
    (200, given("requires_action"), OutcomeUndecided),
    (400, error(INVALID, code="charge_already_refunded"), Declined),
    (400, error(INVALID, param="amount"), Declined),
    (400, error(INVALID, code="charge_disputed"), Declined),
    (404, error(INVALID, code="resource_missing", param="payment_intent"), Declined),
    (400, error(INVALID, code="balance_insufficient"), RequestRefused),
    (400, error(INVALID), RequestRefused),
    (200, {"object": "refund"}, OutcomeUnknown),
    (400, error("idempotency_error"), OutcomeUndecided),
    (500, error("api_error"), OutcomeUnknown),
]


def _names(rows: list[tuple[int, object, type]]) -> list[str]:
    return [f"{status}-{kind.__name__}" for status, _, kind in rows]


async def asked(stub: tuple[Stub, StripeProvider], request: Request) -> object:
    """Return the provider's answer or the exception that was raised."""
    try:
        if isinstance(request, Charge):
            return await stub[1].charge(request)
        return await stub[1].refund(request)
    except (OutcomeUnknown, RetryLater) as raised:
        return raised


@pytest.mark.parametrize(("status", "body", "kind"), CHARGES, ids=_names(CHARGES))
async def test_every_answer_to_a_charge_means_one_thing(
    stub: tuple[Stub, StripeProvider], status: int, body: object, kind: type
) -> None:
    stub[0].says(status, body)
    answer = await asked(stub, charge())
    assert type(answer) is kind, answer
    assert "4242" not in repr(answer)


@pytest.mark.parametrize(("status", "body", "kind"), REFUNDS, ids=_names(REFUNDS))
async def test_every_answer_to_a_refund_means_one_thing(
    stub: tuple[Stub, StripeProvider], status: int, body: object, kind: type
) -> None:
    stub[0].says(status, body)
    assert type(await asked(stub, Refund("key", 5, "EUR", 7, "pi_1"))) is kind


async def test_the_error_of_an_unreadable_answer_does_not_contain_the_key(
    stub: tuple[Stub, StripeProvider],
) -> None:
    stub[0].answer = b"HTTP/1.1 nonsense\r\n\r\n"
    key = {"Authorization": "Bearer sk_test_tests"}
    with pytest.raises(stripe.APIConnectionError) as raised:
        await stub[1]._http.request_async("POST", stub[0].url, key)
    assert "sk_test_tests" not in "".join(traceback.format_exception(raised.value))


def test_the_proxy_is_the_one_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    assert environment_proxy("https://api.stripe.com") is None
    monkeypatch.setenv("ALL_PROXY", "http://any.example:1")
    assert environment_proxy("https://api.stripe.com") == "http://any.example:1"
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:2")
    assert environment_proxy("https://api.stripe.com") == "http://proxy.example:2"
    monkeypatch.setenv("NO_PROXY", "api.stripe.com")
    assert environment_proxy("https://api.stripe.com") is None


async def test_a_call_goes_to_the_proxy(
    stub: tuple[Stub, StripeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", stub[0].url)
    monkeypatch.setenv("NO_PROXY", "")
    stub[0].says(200, intent())
    behind = StripeProvider("sk_test_tests", api="http://stripe.example")
    assert isinstance(await behind.charge(charge()), Succeeded)
    await behind.close()
    assert stub[0].received.startswith(b"POST http://stripe.example/v1/payment_intents ")


async def test_a_redirect_is_not_followed(stub: tuple[Stub, StripeProvider]) -> None:
    stub[0].answer = b"HTTP/1.1 307 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    assert isinstance(await asked(stub, charge()), OutcomeUnknown)
    assert stub[0].received.startswith(b"POST /v1/payment_intents ")


async def test_the_amount_is_the_one_that_arrived(stub: tuple[Stub, StripeProvider]) -> None:
    stub[0].says(200, intent(amount_received=5, currency="usd"))
    assert await asked(stub, charge(1250)) == Succeeded("pi_1", 5, "USD")


async def test_a_payment_in_progress_is_unknown_with_its_reference(
    stub: tuple[Stub, StripeProvider],
) -> None:
    stub[0].says(200, intent(status="processing"))
    answer = await asked(stub, charge())
    assert isinstance(answer, OutcomeUnknown)
    assert answer.reference == "pi_1"


async def test_a_decline_names_its_codes_and_nothing_else(
    stub: tuple[Stub, StripeProvider],
) -> None:
    stub[0].says(402, error("card_error", **REFUSED))
    answer = await asked(stub, charge())
    words = "402 card_error: card_declined: insufficient_funds (req_1)"
    assert answer == Declined(words, "insufficient-funds")


FAILURES: list[tuple[int, object, str]] = [
    (402, error("card_error", code="card_declined"), "card-declined"),
    (402, error("card_error", code="card_declined", decline_code="lost_card"), "card-declined"),
    (402, error("card_error", code="expired_card"), "card-expired"),
    (402, error("card_error", code="authentication_required"), "authentication-required"),
    (402, error("card_error", code="something_new"), "card-declined"),
    (400, error(INVALID), "payment-method-invalid"),
    (400, error(INVALID, code="payment_method_unactivated"), "payment-method-invalid"),
    (400, error(INVALID, code="resource_missing", param="customer"), "payment-method-invalid"),
    (400, error(INVALID, code="amount_too_small", param="amount"), "amount-not-possible"),
    (400, error(INVALID, code="something_new"), "declined"),
    (
        200,
        intent(status="requires_payment_method", last_payment_error=REFUSED),
        "insufficient-funds",
    ),
    (200, intent(status="requires_action"), "authentication-required"),
    (200, intent(status="canceled"), "declined"),
]


@pytest.mark.parametrize(("status", "body", "code"), FAILURES)
async def test_a_decline_has_a_word_that_stays_the_same(
    stub: tuple[Stub, StripeProvider], status: int, body: object, code: str
) -> None:
    stub[0].says(status, body)
    answer = await asked(stub, charge())
    assert isinstance(answer, Declined)
    assert answer.code == code
    assert code in decline_codes.MESSAGES


@pytest.mark.parametrize("bug", [AttributeError, KeyError, TypeError, ValueError])
async def test_an_internal_error_is_not_an_unreadable_answer(
    stub: tuple[Stub, StripeProvider], bug: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise bug

    monkeypatch.setattr("icecream.payments.providers.stripe_objects.payment_state", fails)
    monkeypatch.setattr("icecream.payments.providers.stripe_objects.to_answer", fails)
    stub[0].says(200, intent(metadata=BEARS_OUR_KEY))
    with pytest.raises(bug):
        await stub[1].charge(charge())
    with pytest.raises(bug):
        await stub[1].look_up(Charge(BEARS_OUR_KEY["reference"], 1, "EUR", 7, CARD), "pi_1")


async def test_an_internal_error_is_not_a_network_error(
    stub: tuple[Stub, StripeProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    def request(*_: object, **__: object) -> None:
        raise FileNotFoundError("a file of ours")

    monkeypatch.setattr(aiohttp.ClientSession, "request", request)
    with pytest.raises(FileNotFoundError):
        await stub[1].charge(charge())


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"nonsense\r\n\r\n",
        b"",
    ],
)
async def test_a_broken_connection_is_no_answer(
    stub: tuple[Stub, StripeProvider], answer: bytes | None
) -> None:
    stub[0].answer = answer
    impatient = StripeProvider("sk_test_tests", api=stub[0].url, timeout=0.3)
    with pytest.raises(OutcomeUnknown):
        await impatient.charge(charge())
    await impatient.close()


async def test_a_refused_connection_is_no_answer() -> None:
    alone = StripeProvider("sk_test_tests", api=f"http://127.0.0.1:{servers.free_port()}")
    with pytest.raises(OutcomeUnknown):
        await alone.charge(charge())
    await alone.close()


async def test_without_a_method_the_provider_is_not_called(
    stub: tuple[Stub, StripeProvider],
) -> None:
    assert isinstance(await asked(stub, charge(method=None)), Declined)
    assert stub[0].received == b""


async def test_a_request_has_the_order_and_the_key(
    stub: tuple[Stub, StripeProvider],
) -> None:
    stub[0].says(200, intent())
    request = charge(1250, "cus_1/pm_1")
    await asked(stub, request)
    head, _, body = stub[0].received.decode().partition("\r\n\r\n")
    assert f"Idempotency-Key: {request.key}\r\n".lower() in head.lower()
    sent = dict(httpx.QueryParams(body))
    assert sent == {
        "amount": "1250",
        "currency": "eur",
        "customer": "cus_1",
        "payment_method": "pm_1",
        "confirm": "true",
        "off_session": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "metadata[reference]": request.key,
        "metadata[order]": "7",
    }


async def test_a_currency_that_stripe_counts_otherwise_is_converted_both_ways(
    stub: tuple[Stub, StripeProvider],
) -> None:
    """100 Icelandic krones have no decimal places in our amounts, and two in Stripe's."""
    krones = Charge("key of krones", 100, "ISK", 7, "pm_1")
    stub[0].says(200, intent(amount=10_000, amount_received=10_000, currency="isk"))
    assert await asked(stub, krones) == Succeeded("pi_1", 100, "ISK")
    body = stub[0].received.decode().partition("\r\n\r\n")[2]
    assert dict(httpx.QueryParams(body))["amount"] == "10000"
    back = Refund("key of a refund", 40, "ISK", 7, "pi_1")
    stub[0].says(
        200, intent(id="re_1", object="refund", amount=4_000, amount_received=None, currency="isk")
    )
    answer = await asked(stub, back)
    assert isinstance(answer, Succeeded)
    assert answer.amount == 40
    body = stub[0].received.decode().partition("\r\n\r\n")[2]
    assert dict(httpx.QueryParams(body))["amount"] == "4000"


BEARS_OUR_KEY = {"reference": "looked for"}
LOOKS: list[tuple[int, object, type]] = [
    (404, error(INVALID, code="resource_missing", param="intent"), type(None)),
    (402, error("card_error", **REFUSED), OutcomeUndecided),
    (400, error(INVALID, param="amount"), OutcomeUndecided),
    (404, error(INVALID), OutcomeUndecided),
    (500, error("api_error"), OutcomeUnknown),
    (429, error("rate_limit_error"), RetryLater),
    (401, error(INVALID), RequestRefused),
    (200, {"object": "list"}, OutcomeUnknown),
    (200, intent(status="processing", metadata=BEARS_OUR_KEY), OutcomeUndecided),
    (200, intent(status="canceled", metadata=BEARS_OUR_KEY), Declined),
    (200, intent(metadata=BEARS_OUR_KEY), Succeeded),
    # A payment of another account.
    (200, intent(metadata={"reference": "another"}), type(None)),
    (200, intent(), type(None)),
]


@pytest.mark.parametrize(("status", "body", "kind"), LOOKS, ids=_names(LOOKS))
async def test_a_look_that_fails_says_nothing_about_the_payment(
    stub: tuple[Stub, StripeProvider], status: int, body: object, kind: type
) -> None:
    stub[0].says(status, body)
    try:
        asked = Charge(BEARS_OUR_KEY["reference"], 1250, "EUR", 7, CARD)
        answer: object = await stub[1].look_up(asked, "pi_1")
    except (OutcomeUnknown, RetryLater) as raised:
        answer = raised
    assert type(answer) is kind


async def test_the_object_that_moved_money_counts_when_two_have_one_key(
    stub: tuple[Stub, StripeProvider],
) -> None:
    request = charge()
    ours = {"reference": request.key, "order": "7"}
    found = [
        intent(id="pi_of_another"),
        intent(id="pi_2", status="canceled", metadata=ours),
        intent(id="pi_3", metadata=ours),
    ]
    stub[0].says(200, {"object": "search_result", "data": found, "has_more": False})
    assert await stub[1].look_up(request, None) == Succeeded("pi_3", 1250, "EUR")
    assert b"GET /v1/payment_intents/search?" in stub[0].received


async def test_a_truncated_list_is_an_error(
    stub: tuple[Stub, StripeProvider],
) -> None:
    stub[0].says(500, error("api_error"))
    with pytest.raises(OutcomeUnknown):
        _ = [one async for one in stub[1].records(datetime.now(UTC), datetime.now(UTC))]


async def test_an_unreadable_line_of_a_list_is_logged_and_skipped(
    stub: tuple[Stub, StripeProvider], caplog: pytest.LogCaptureFixture
) -> None:
    lines = [
        intent(id="pi_odd", amount="12.50", metadata=OURS),
        intent(id="pi_1", metadata=OURS),
        intent(id="pi_2", metadata={"reference": "of another shop", "order": "9" * 5000}),
    ]
    stub[0].says(200, {"object": "list", "data": lines, "has_more": False})
    found = stub[1].records(datetime.now(UTC), datetime.now(UTC))
    # The stub returns the same list twice: for charges and for refunds.
    assert [one.reference async for one in found] == ["pi_1", "pi_2"] * 2
    assert caplog.text.count("pi_odd is unreadable") == 2


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
async def test_nothing_that_was_said_is_logged(
    stub: tuple[Stub, StripeProvider],
    level: int,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(level)
    for status, body in ((402, error("card_error", **REFUSED)), (200, intent(last4="4242"))):
        stub[0].says(status, body)
        await asked(stub, charge(method="pm_secret"))
    written = caplog.text + "".join(capfd.readouterr())
    assert not any(word in written for word in ("4242", "pm_secret", "sk_test"))


def test_the_sdk_prints_nothing_when_its_own_variable_asks_it_to(tmp_path: Path) -> None:
    program = (
        "from icecream.payments.providers.stripe import stripe; stripe._util.log_debug('card')"
    )
    done = Process(
        ("-c", program), {"STRIPE_LOG": "debug", "PYTHONPATH": str(ROOT)}, tmp_path / "log", ()
    )
    assert done.wait() == 0
    done.end()
    assert done.output == ""


# Notices.


def signed(body: bytes, secret: str = SECRET, age: int = 0) -> dict[str, str]:
    made = stripe.WebhookSignature.generate_signature_header(
        body.decode(), secret, int(time.time()) - age
    )
    return {"Stripe-Signature": made}


def event(object_: dict[str, Any], type_: str = "payment_intent.succeeded") -> bytes:
    return json.dumps(
        {"id": "evt_1", "object": "event", "type": type_, "data": {"object": object_}}
    ).encode()


@pytest.fixture
async def reader() -> AsyncIterator[StripeProvider]:
    made = StripeProvider("sk_test_tests", secret=SECRET)
    yield made
    await made.close()


OURS = {"reference": "our key", "order": "7"}


async def test_a_webhook_event_contains_our_key_and_the_providers_reference(
    reader: StripeProvider,
) -> None:
    body = event(intent(metadata=OURS))
    assert reader.parse_webhook(body, signed(body)) == WebhookEvent("evt_1", "our key", "pi_1")
    lower = {name.lower(): value for name, value in signed(body).items()}
    assert reader.parse_webhook(body, lower) == WebhookEvent("evt_1", "our key", "pi_1")
    body = event(given("failed") | {"metadata": OURS}, "refund.failed")
    assert reader.parse_webhook(body, signed(body, age=299)) == WebhookEvent(
        "evt_1", "our key", "re_1"
    )


@pytest.mark.parametrize(
    "object_",
    [
        intent(),
        intent(metadata=None),
        {"object": "customer", "id": "cus_1", "metadata": OURS},
        {"object": "balance"},
    ],
)
async def test_an_event_about_no_payment_of_ours_is_ignored(
    reader: StripeProvider, object_: dict[str, Any]
) -> None:
    body = event(object_)
    assert reader.parse_webhook(body, signed(body)) is None


THIN = {
    "id": "evt_1",
    "object": "v2.core.event",
    "type": "v2.core.account.updated",
    "related_object": {"id": "acct_1", "type": "v2.core.account"},
}


@pytest.mark.parametrize(
    "body",
    [json.dumps(THIN).encode(), b"no json", b"[]", b'{"id": 1}', b"[" * 100_000],
    ids=["thin", "text", "list", "members", "deep"],
)
async def test_a_signed_event_of_another_form_is_ignored(
    reader: StripeProvider, body: bytes
) -> None:
    assert reader.parse_webhook(body, signed(body)) is None


BODY = event(intent(metadata=OURS))
FORGED: list[tuple[bytes, dict[str, str]]] = [
    (BODY, {}),
    (BODY, {"Stripe-Signature": ""}),
    (BODY, {"Stripe-Signature": "t=x,v1=y"}),
    (BODY, {"Stripe-Signature": f"t={int(time.time())},v1=\xe9"}),
    (BODY, {"Stripe-Signature": f"t={int(time.time())},v0=abc"}),
    (BODY, signed(BODY, "whsec_of_others")),
    (BODY, signed(BODY, age=301)),
    (BODY, signed(BODY, age=-86_400)),
    (BODY + b" ", signed(BODY)),
    (b"\xff", signed(BODY)),
]


@pytest.mark.parametrize(("body", "headers"), FORGED, ids=range(len(FORGED)))
async def test_a_forged_old_or_future_webhook_is_refused(
    reader: StripeProvider, body: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(UnverifiedWebhook):
        reader.parse_webhook(body, headers)


async def test_without_a_secret_no_event_is_accepted() -> None:
    trusting = StripeProvider("sk_test_tests")
    with pytest.raises(UnverifiedWebhook):
        trusting.parse_webhook(BODY, signed(BODY, "whsec"))
    await trusting.close()


# Settings.


async def test_the_settings_choose_it() -> None:
    chosen = providers.create_provider(
        settings.parse_settings(
            {
                "ICECREAM_PAYMENT_PROVIDER": "stripe",
                "ICECREAM_STRIPE_API_KEY": "sk_test_tests",
                "ICECREAM_STRIPE_WEBHOOK_SECRET": SECRET,
            }
        )
    )
    assert isinstance(chosen, StripeProvider)
    assert chosen.key_life == timedelta(hours=23)
    assert chosen.parse_webhook(BODY, signed(BODY)) == WebhookEvent("evt_1", "our key", "pi_1")
    await chosen.close()
