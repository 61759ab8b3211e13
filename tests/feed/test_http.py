"""Test server-sent events over HTTP: visible events, stream limits and the end of streams."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest

from icecream import database
from icecream.accounts import api_keys, users
from icecream.feed import http as feed_http
from icecream.feed import subscription
from icecream.http import event_stream
from icecream.tables import User
from tests.conftest import Caller, new_user, place, publish_all

pytestmark = pytest.mark.anyio
PATIENCE = 20


@pytest.fixture(autouse=True)
async def brisk(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setattr(feed_http, "AUTHORIZATION_CHECK_SECONDS", 0.05)
    yield


class Connection:
    """An ASGI call with an endless response; httpx's test transport would wait for its end."""

    def __init__(self, caller: Caller, query: str = "", **headers: str) -> None:
        transport: Any = caller.client._transport
        self.app = transport.app
        fields = {"Host": "test", "Authorization": f"Bearer {caller.access}"} | headers
        self.scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/api/events/",
            "raw_path": b"/api/events/",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in fields.items()],
            "client": ("127.0.0.1", 1),
            "server": ("test", 80),
            "state": {},
        }
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.complete = False
        self.reads = asyncio.Event()
        self.reads.set()
        self._request = itertools.chain([{"type": "http.request", "body": b""}])
        self._left = asyncio.Event()

    async def __call__(self) -> None:
        await self.app(self.scope, self._receive, self._send)

    async def _receive(self) -> dict[str, Any]:
        for message in self._request:
            return message
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            return
        await self.reads.wait()
        self.body += message["body"]
        self.complete = not message.get("more_body")

    def leave(self) -> None:
        self._left.set()

    @property
    def events(self) -> list[dict[str, Any]]:
        """Return the events so far, as a browser reads them."""
        blocks = [block.split("\n") for block in self.body.decode().split("\n\n")]
        fields = [dict(line.split(": ", 1) for line in block if line) for block in blocks]
        return [
            msgspec.json.decode(one["data"]) | {"id": int(one["id"]), "event": one["event"]}
            for one in fields
            if "data" in one
        ]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110  # no event to wait for
            await asyncio.sleep(0.01)


@asynccontextmanager
async def connected(caller: Caller, query: str = "", **headers: str) -> AsyncIterator[Connection]:
    """Yield a connection whose stream has begun, and disconnect it at the end."""
    connection = Connection(caller, query, **headers)
    task = asyncio.create_task(connection())
    try:
        await until(lambda: bool(connection.body))
        yield connection
        connection.leave()
        await asyncio.wait_for(task, PATIENCE)
    finally:
        task.cancel()


async def refused(caller: Caller, query: str = "", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = Connection(caller, query, **headers)
    await asyncio.wait_for(connection(), PATIENCE)
    return connection.status, msgspec.json.decode(connection.body)


def application(outermost: Any) -> Any:
    """Return the application inside all its wrappers."""
    while not hasattr(outermost, "state"):
        outermost = outermost.app
    return outermost


def streams(caller: Caller) -> feed_http.OpenStreams:
    transport: Any = caller.client._transport
    found: feed_http.OpenStreams = application(transport.app).state.streams
    return found


async def test_customers_receive_the_events_of_their_orders_and_staff_all_events(
    customer: Caller, stranger: Caller, staff: Caller, flavor: int
) -> None:
    begin = await publish_all()
    async with connected(customer) as own, connected(staff) as everything:
        mine = (await place(customer.user.id, {flavor: 2})).order
        other = (await place(stranger.user.id, {flavor: 1})).order
        end = await publish_all()
        await until(lambda: len(everything.events) == 2 and len(own.events) == 1)
        assert own.status == 200
        assert own.headers[b"content-type"] == b"text/event-stream"
        assert own.headers[b"cache-control"] == b"no-store"
        assert own.headers[b"x-accel-buffering"] == b"no"
        assert b"x-request-id" in own.headers
        assert own.body.startswith(b"retry: 1000\nid: %d\n\n" % begin)
        (event,) = own.events
        assert event.pop("at").endswith("Z")
        assert event == {
            "id": begin + 1,
            "event": "placed",
            "type": "placed",
            "order": mine,
            "seq": 1,
            "by": customer.user.id,
            "user": customer.user.id,
            "status": "pending",
            "total": 500,
            "currency": "EUR",
            "reference": None,
            "delivery_date": None,
        }
        assert [one["order"] for one in everything.events] == [mine, other]
        assert not own.complete
    # Resume at the last event. The parameter is for clients that cannot set the header field.
    async with (
        connected(staff, **{"Last-Event-ID": str(begin + 1)}) as by_field,
        connected(staff, f"after={begin + 1}") as by_parameter,
        connected(staff, "after=0", **{"Last-Event-ID": str(end)}) as by_both,
    ):
        await until(lambda: bool(by_field.events and by_parameter.events))
        assert by_field.events == by_parameter.events == everything.events[1:]
        assert by_both.events == []


@pytest.mark.parametrize(
    "event_id", ["x", "-1", "1.5", "\u0661".encode().decode("latin-1"), "9" * 18]
)
async def test_an_unknown_event_id_is_refused(customer: Caller, event_id: str) -> None:
    status, problem = await refused(customer, **{"Last-Event-ID": event_id})
    assert (status, problem["code"]) == (400, "validation-failed")
    assert problem["errors"][0]["pointer"] == "/Last-Event-ID"
    if event_id.isascii():
        assert (await refused(customer, f"after={event_id}"))[0] == 400


async def test_without_a_token_there_is_no_stream(customer: Caller) -> None:
    unauthenticated = Caller(customer.client, customer.user, "x.y.z")
    assert (await refused(unauthenticated))[0] == 401


async def test_the_number_of_streams_is_limited_per_user_and_in_total(
    customer: Caller, stranger: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_http, "MAX_STREAMS_PER_USER", 2)
    monkeypatch.setattr(feed_http, "MAX_STREAMS", 3)
    async with connected(customer), connected(customer):
        connection = Connection(customer)
        await connection()
        assert connection.status == 429
        assert int(connection.headers[b"retry-after"]) > 0
        async with connected(stranger):
            assert (await refused(stranger))[0] == 503
        async with connected(stranger):
            pass
    assert streams(customer)._open == {}
    await until(lambda: streams(customer)._watch is None)


async def test_a_stream_ends_with_its_token(customer: Caller) -> None:
    async with (
        asyncio.timeout(PATIENCE),
        _open(customer, datetime.now(UTC) + timedelta(seconds=0.2)) as event_id,
    ):
        blocks = [block async for block in event_id]
    assert blocks[0].startswith(b"retry: ")


@asynccontextmanager
async def _open(caller: Caller, until: datetime) -> AsyncIterator[Any]:
    listener = feed_http.Listener(caller.user, until)
    with streams(caller).open(listener, await publish_all()) as stream:
        yield feed_http.encode_stream(stream)


async def test_a_stream_of_an_api_key_ends_when_the_key_is_revoked(
    client: httpx.AsyncClient, hashed: str, customer: Caller
) -> None:
    """Neither a new password nor the staff role of the account ends it."""
    admin = await new_user(hashed, admin=True)
    revoked, key = await api_keys.create_key(admin.id, "ends", ["read"])
    _, other = await api_keys.create_key(admin.id, "goes on", ["read"])
    async with (
        connected(Caller(client, admin, key)) as connection,
        connected(Caller(client, admin, other)) as remaining,
    ):
        await users.set_password(admin.id, "another password")
        await streams(customer)._close_unauthorized()
        assert not connection.complete
        await api_keys.revoke_key(revoked["id"], user=None)
        await until(lambda: connection.complete)
        assert not remaining.complete


@pytest.mark.parametrize("change", ["disabled", "another password", "made staff"])
async def test_a_stream_ends_when_its_user_loses_the_authorization(
    customer: Caller, stranger: Caller, change: str
) -> None:
    async with connected(stranger) as other, connected(customer) as connection:
        if change == "disabled":
            await users.disable_user(customer.user.id)
        elif change == "made staff":
            await User.update({User.admin: True}).where(User.id == customer.user.id)
        else:
            await users.set_password(customer.user.id, "another password")
        await until(lambda: connection.complete)
        assert not other.complete


async def test_a_short_database_outage_ends_no_stream(
    customer: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, looks = feed_http.OpenStreams._close_unauthorized, list[datetime]()

    async def away_at_first(self: feed_http.OpenStreams) -> None:
        looks.append(datetime.now(UTC))
        if len(looks) == 1:
            raise database.DatabaseUnavailable("away")
        await real(self)

    monkeypatch.setattr(feed_http.OpenStreams, "_close_unauthorized", away_at_first)
    async with connected(customer) as connection:
        await until(lambda: len(looks) > 2)
        assert not connection.complete
    assert "The database is unavailable" in caplog.text


async def test_streams_end_when_the_authorization_check_fails(
    customer: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: feed_http.OpenStreams) -> None:
        raise RuntimeError("a bug")

    async with connected(customer) as connection:
        monkeypatch.setattr(feed_http.OpenStreams, "_close_unauthorized", broken)
        assert streams(customer)._watch is not None
        await until(lambda: connection.complete)
    assert caplog.text.count("RuntimeError: a bug") == 1
    monkeypatch.undo()
    # The next stream is watched again.
    async with connected(customer):
        assert streams(customer)._watch is not None


async def test_a_stream_ends_when_its_client_receives_nothing(
    customer: Caller, flavor: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_stream, "SEND_TIMEOUT_SECONDS", 0.1)
    caplog.set_level(logging.INFO, logger="icecream.http.event_stream")
    async with connected(customer) as connection:
        connection.reads.clear()
        await place(customer.user.id, {flavor: 1})
        await publish_all()
        await until(lambda: "A client received nothing" in caplog.text)
        assert streams(customer)._open == {}
    assert not connection.complete


async def test_a_heartbeat_has_an_id_from_which_a_client_can_continue(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription, "HEARTBEAT_SECONDS", 0.05)
    end = await publish_all()
    async with connected(customer) as connection:
        await until(lambda: connection.body.count(b": nothing new\nid: %d\n\n" % end) > 1)
        assert connection.events == []


async def test_streams_end_cleanly_when_the_server_stops(hashed: str, customer: Caller) -> None:
    from icecream import app

    transport = httpx.ASGITransport(app.create())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        caller = Caller(client, customer.user, customer.access)
        async with connected(caller) as connection:
            inside: Any = transport.app
            application(inside).state.reader.close()
            await until(lambda: connection.complete)
        assert (await refused(caller))[0] == 503
