"""Test how responses are written to a connection."""

import asyncio
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from icecream.http import connections

pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
REQUEST = b"GET / HTTP/1.1\r\nHost: ice\r\n\r\n"
PLAIN = [(b"Content-Type", b"text/plain")]


class Recorder(asyncio.Transport):
    """A transport that keeps what is written to it, by call."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


async def respond(*messages: dict[str, Any], request: bytes = REQUEST) -> Recorder:
    """Return what a connection writes when an application sends these messages."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    config = uvicorn.Config(application, log_config=None, proxy_headers=False, interface="asgi3")
    connection, transport = connections.ClientConnection(config, ServerState(), {}), Recorder()
    connection.connection_made(transport)
    connection.data_received(request)
    await asyncio.gather(*connection.tasks)
    return transport


def start(headers: list[tuple[bytes, bytes]], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


def body(content: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, "more_body": more}


async def test_a_response_is_one_system_call() -> None:
    transport = await respond(start([*PLAIN, (b"content-length", b"2")]), body(b"ok"))
    assert transport.written == [
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok"
    ]
    assert not transport.is_closed


async def test_the_parts_of_a_stream_are_sent_at_once_as_chunks() -> None:
    transport = await respond(start(PLAIN), body(b"first", more=True), body(b"", more=False))
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
    assert transport.written == [head + b"5\r\nfirst\r\n", b"0\r\n\r\n"]


async def test_an_answer_without_a_body_has_no_length() -> None:
    transport = await respond(start([], 204), body(b""))
    assert transport.written == [b"HTTP/1.1 204 No Content\r\n\r\n"]
    head = REQUEST.replace(b"GET", b"HEAD")
    transport = await respond(start([(b"content-length", b"5")]), body(b""), request=head)
    assert transport.written == [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"]


async def test_a_connection_that_the_application_ends_is_closed() -> None:
    fields = [(b"content-length", b"0"), (b"connection", b"close")]
    transport = await respond(start(fields), body(b""))
    assert transport.is_closed
    assert b"".join(transport.written).count(b"connection: close") == 1


@pytest.mark.parametrize(
    "messages",
    [
        [start([(b"x-note", b"a\r\nset-cookie: id=1")]), body(b"")],
        [start([(b"x note", b"a")]), body(b"")],
        [body(b"")],
    ],
)
async def test_a_response_that_is_no_http_becomes_an_internal_error(
    messages: list[dict[str, Any]],
) -> None:
    transport = await respond(*messages)
    assert b"set-cookie" not in b"".join(transport.written)
    assert not b"".join(transport.written).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("content", [b"o", b"too long"])
async def test_a_body_of_another_length_than_announced_closes_the_connection(
    content: bytes,
) -> None:
    transport = await respond(start([(b"content-length", b"2")]), body(content))
    assert (transport.written, transport.is_closed) == ([], True)
