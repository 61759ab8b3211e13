"""Test that a provider's webhook is checked for its signature, stored once, and then answered."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from icecream import app, database, settings
from icecream.payments import providers
from icecream.payments.providers import WebhookEvent
from icecream.runtime import failpoints
from icecream.tables import Job, Notice
from tests.conftest import WHICH, Provider
from tests.processes import Shop, stop, until

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_webhook_events")]
PATH = "/api/payments/webhooks/simulated/"
SIGNED = {"Signature": "good"}


class Signing(Provider):
    """A provider that accepts the signature `good`; the body is an event, or not about us."""

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        if headers.get("signature") != "good":
            raise providers.UnverifiedWebhook
        try:
            return msgspec.json.decode(body, type=WebhookEvent)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


Visitor = Callable[[str], httpx.AsyncClient]


@pytest.fixture(scope="module")
def visitor(opened: None) -> Visitor:
    """Return a function that makes a client at an address, for a service with this provider."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "create_provider", lambda _: Signing())
        whole = app.create()

    def at(address: str) -> httpx.AsyncClient:
        site = httpx.ASGITransport(whole, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=site, base_url="http://test")

    return at


@pytest.fixture
async def provider(visitor: Visitor) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor("192.0.2.1") as client:
        client.headers.update(SIGNED)
        yield client


def event_body(event: str = "evt_1", key: str = "a key", reference: str = "pi_1") -> dict[str, Any]:
    return {"id": event, "key": key, "reference": reference}


async def stored_events() -> list[dict[str, Any]]:
    columns = (Notice.provider, Notice.event, Notice.key, Notice.reference)
    rows: list[dict[str, Any]] = await Notice.select(*columns).order_by(Notice.event)
    return rows


async def jobs() -> int:
    count: int = await Job.count().where(Job.kind == "notice")
    return count


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("path", [PATH, PATH.rstrip("/")])
async def test_a_signed_event_is_stored_with_its_job(
    provider: httpx.AsyncClient, path: str
) -> None:
    answer = await provider.post(path, json=event_body())
    assert (answer.status_code, answer.json()) == (200, {"received": True})
    stored = {"provider": "simulated", "event": "evt_1", "key": "a key", "reference": "pi_1"}
    assert await stored_events() == [stored]
    (job,) = await Job.select(Job.subject).where(Job.kind == "notice")
    assert await Notice.exists().where(Notice.id == job["subject"], Notice.applied_at.is_null())


async def test_a_hundred_copies_of_an_event_are_stored_once(provider: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(provider.post(PATH, json=event_body()) for _ in range(100)))
    assert {answer.status_code for answer in answers} == {200}
    assert (len(await stored_events()), await jobs()) == (1, 1)
    await provider.post(PATH, json=event_body(event="evt_2"))
    assert (len(await stored_events()), await jobs()) == (2, 2)


@pytest.mark.parametrize("headers", [{}, {"Signature": "wrong"}, {"Signature": "good, but old"}])
async def test_an_unsigned_event_is_refused(visitor: Visitor, headers: dict[str, str]) -> None:
    async with visitor("192.0.2.2") as forger:
        answer = await forger.post(PATH, json=event_body(), headers=headers)
    assert refused(answer) == (401, "invalid-signature")
    assert "www-authenticate" in answer.headers
    assert (await stored_events(), await jobs()) == ([], 0)


async def test_a_token_is_no_signature(visitor: Visitor) -> None:
    async with visitor("192.0.2.2") as forger:
        answer = await forger.post(
            PATH, json=event_body(), headers={"Authorization": "Bearer x.y.z"}
        )
    assert refused(answer) == (401, "invalid-signature")


GARBAGE = [
    b"",
    b"\0",
    b"\xff\xfe" * 1000,
    b"[" * 100_000,
    b'{"event": "evt"',
    b'{"event": null, "key": 1, "reference": {}}',
    b'{"event": "\\ud800", "key": "k", "reference": "r"}',
    b"1e400",
    b"x" * 255_999,
]
TYPES = ["application/json", "text/plain", "multipart/form-data; boundary=x", "nonsense", ""]


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_is_refused_or_ignored(visitor: Visitor, body: bytes) -> None:
    async with visitor("192.0.2.3") as client:
        for kind in TYPES:
            headers = {"Content-Type": kind}
            answer = await client.post(PATH, content=body, headers=headers)
            assert answer.status_code == 401, answer.text
            answer = await client.post(PATH, content=body, headers={**headers, **SIGNED})
            assert answer.status_code == 200, answer.text
    assert (await stored_events(), await jobs()) == ([], 0)


@pytest.mark.parametrize("text", ["k" * 256, "a\0b", "a\nb"])
@pytest.mark.parametrize("member", ["event", "key", "reference"])
async def test_an_event_that_cannot_be_ours_is_not_stored(
    provider: httpx.AsyncClient, member: str, text: str
) -> None:
    answer = await provider.post(PATH, json=event_body(**{member: text}))
    assert answer.status_code == 200
    assert (await stored_events(), await jobs()) == ([], 0)


async def test_a_body_is_no_larger_than_elsewhere(provider: httpx.AsyncClient) -> None:
    answer = await provider.post(PATH, content=b" " * (app.MAX_BODY_BYTES + 1))
    assert refused(answer) == (413, "payload-too-large")


@pytest.mark.parametrize("name", ["stripe", "SIMULATED", "simulated%20", "%00"])
async def test_there_is_one_provider(provider: httpx.AsyncClient, name: str) -> None:
    answer = await provider.post(f"/api/payments/webhooks/{name}/", json=event_body())
    assert refused(answer) == (404, "not-found")
    assert await stored_events() == []


async def test_only_unsigned_requests_are_rate_limited(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = msgspec.structs.replace(settings.load(), rate_limit="3/minute")
    monkeypatch.setattr(settings, "load", lambda: few)
    async with visitor("192.0.2.4") as client:
        forged = [(await client.post(PATH, json=event_body())).status_code for _ in range(5)]
        assert forged == [401] * 3 + [429] * 2
        signed = [
            (await client.post(PATH, json=event_body(f"evt_{n}"), headers=SIGNED)).status_code
            for n in range(5)
        ]
    assert signed == [200] * 5


@pytest.mark.parametrize(
    ("error", "status"), [(KeyError, 500), (database.DatabaseUnavailable, 503)]
)
async def test_an_event_without_a_commit_is_not_acknowledged_and_may_be_repeated(
    provider: httpx.AsyncClient,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
    status: int,
) -> None:
    def fail() -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setitem(failpoints._armed, "webhooks.receiving", fail)
        answer = await provider.post(PATH, json=event_body())
    assert answer.status_code == status
    assert (await stored_events(), await jobs()) == ([], 0)
    assert (await provider.post(PATH, json=event_body())).status_code == 200
    assert (len(await stored_events()), await jobs()) == (1, 1)


TRUSTING = """
from icecream.runtime import failpoints
from icecream.payments.providers import SimulatedProvider, WebhookEvent
def parse_webhook(self, body, headers):
    return WebhookEvent(body.decode(), "a key", "a reference")
SimulatedProvider.parse_webhook = parse_webhook
create = SimulatedProvider.__init__
def create_and_say_so(self, *values, **named):
    create(self, *values, **named)
    print("A provider was created.", flush=True)
async def close(self):
    print("A provider was let go.", flush=True)
SimulatedProvider.__init__, SimulatedProvider.close = create_and_say_so, close
"""
KILLED = """
import os, signal
failpoints.arm_failpoint("webhooks.receiving", lambda: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_a_kill_before_the_commit_leaves_nothing(tmp_path: Path, empty_database: str) -> None:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        killed = shop.begin_altered(TRUSTING + KILLED, "serve")
        shop.ready(killed)
        with pytest.raises(httpx.TransportError):
            shop.http.post(PATH, content=b"evt_1")
        assert killed.wait() == -signal.SIGKILL
        assert shop.books()["jobs"] == []
        server = shop.begin_altered(TRUSTING, "serve")
        shop.ready(server)
        for _ in range(2):
            assert shop.http.post(PATH, content=b"evt_1").status_code == 200
        assert shop.books()["jobs"] == ["notice"]
        # With SQLite the worker inside the server has its own provider, soon after the start.
        providers = 1 + (WHICH == "sqlite")
        until(lambda: server.output.count("provider was created") == providers, "all have one")
        stop(server)
        assert server.output.count("provider was let go") == providers
