"""Test HTTP at the level of the socket: early responses, keep-alive, upgrades, proxies."""

import asyncio
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from icecream.http import connections
from tests.conftest import ADMIN_PASSWORD
from tests.processes import PATIENCE, Shop

# The connection does not depend on the database.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
JSON = "Content-Type: application/json"
SIGN_IN = f'{{"username": "admin", "password": "{ADMIN_PASSWORD}"}}'
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = {"ICECREAM_KEEPALIVE": "1", "ICECREAM_HOST": "127.0.0.1"}
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite", **settings) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


class Client:
    """A raw connection to the server, and the bytes received on it."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._read = b""

    def send(self, first: str, *fields: str, body: bytes = b"") -> None:
        head = "\r\n".join([first, "Host: ice", *fields, "", ""])
        self.socket.sendall(head.encode() + body)

    def close(self) -> None:
        self.socket.close()

    def _until(self, end: bytes) -> bytes:
        while end not in self._read:
            more = self.socket.recv(65536)
            assert more, f"The connection ended after {self._read!r}"
            self._read += more
        found, _, self._read = self._read.partition(end)
        return found

    def head(self) -> tuple[int, dict[str, str]]:
        """Return the status and the header fields of a response."""
        line, *fields = self._until(b"\r\n\r\n").decode().split("\r\n")
        pairs = (field.split(": ", 1) for field in fields)
        return int(line.split()[1]), {name.lower(): value for name, value in pairs}

    def body(self, length: str) -> bytes:
        while len(self._read) < int(length):
            more = self.socket.recv(65536)
            assert more, f"The connection ended after {self._read!r}"
            self._read += more
        found, self._read = self._read[: int(length)], self._read[int(length) :]
        return found

    def rest(self) -> bytes:
        """Return all bytes until the server closes the connection."""
        while more := self.socket.recv(65536):
            self._read += more
        return self._read


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with closing(Client(shop.port)) as client:
        yield client


def access(shop: Shop) -> str:
    return f"Authorization: {shop.http.headers['Authorization']}"


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Transfer-Encoding: chunked"])
@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("POST /api/orders/", 401),
        ("POST /nowhere", 404),
        ("DELETE /api/orders/", 405),
        ("POST /schema", 405),
        ("PUT /", 405),
    ],
)
def test_a_response_before_the_body_was_read_is_the_last_one(
    client: Client, line: str, length: str, status: int
) -> None:
    client.send(f"{line} HTTP/1.1", JSON, length)
    answered, fields = client.head()
    assert (answered, fields["connection"]) == (status, "close")
    client.rest()


def test_a_response_to_a_body_that_is_too_long_is_the_last_one(
    shop: Shop,
) -> None:
    too_long = b"[" * 300_000
    for length, body in (
        ("Content-Length: 1000000", too_long),
        ("Transfer-Encoding: chunked", b"493e0\r\n" + too_long + b"\r\n"),
    ):
        with closing(Client(shop.port)) as client:
            client.send("POST /api/orders/ HTTP/1.1", access(shop), JSON, length, body=body)
            status, headers = client.head()
            assert (status, headers["connection"]) == (413, "close")
            assert len(client.rest()) == int(headers["content-length"])


def test_an_endless_body_after_a_refusal_is_not_read_to_its_end(
    client: Client,
) -> None:
    client.send("POST /api/orders/ HTTP/1.1", JSON, "Transfer-Encoding: chunked")
    answered, fields = client.head()
    assert (answered, fields["connection"]) == (401, "close")
    chunk, end = b"10000\r\n" + b"x" * 65536 + b"\r\n", time.monotonic() + PATIENCE
    with pytest.raises(ConnectionError):
        while time.monotonic() < end:
            client.socket.sendall(chunk)


def test_a_slow_body_after_a_refusal_is_not_read_forever(client: Client) -> None:
    client.send("POST /api/orders/ HTTP/1.1", JSON, "Content-Length: 1000000")
    assert client.head()[0] == 401
    end = time.monotonic() + PATIENCE
    with pytest.raises(ConnectionError):
        while time.monotonic() < end:
            client.socket.sendall(b"x")
            time.sleep(0.05)


def test_a_client_that_continues_to_send_can_read_the_response(client: Client) -> None:
    client.send("POST /api/orders/ HTTP/1.1", JSON, "Content-Length: 1000000")
    for _ in range(10):
        client.socket.sendall(b"x" * 100_000)
    status, fields = client.head()
    assert status == 401
    assert b"unauthenticated" in client.body(fields["content-length"])


def test_a_refusal_of_a_whole_request_leaves_the_connection_open(
    client: Client, shop: Shop
) -> None:
    for _ in range(2):
        client.send("POST /api/orders/ HTTP/1.1", JSON, "Content-Length: 2", body=b"{}")
        status, fields = client.head()
        assert status == 401
        assert "connection" not in fields
        client.body(fields["content-length"])
    client.send("GET /api/orders/?limit=1 HTTP/1.1", access(shop))
    assert client.head()[0] == 200


def test_expect_100_continue_is_answered(client: Client, shop: Shop) -> None:
    fields = (JSON, "Expect: 100-continue", f"Content-Length: {len(SIGN_IN)}")
    client.send("POST /api/token/ HTTP/1.1", *fields)
    assert client.head()[0] == 100
    client.socket.sendall(SIGN_IN.encode())
    status, headers = client.head()
    assert status == 200
    assert "connection" not in headers
    client.body(headers["content-length"])
    client.send("POST /api/orders/ HTTP/1.1", *fields)
    status, headers = client.head()
    assert (status, headers["connection"]) == (401, "close")


@pytest.mark.parametrize("parts", [1, 2, 7])
def test_an_upgrade_is_ignored_and_the_request_is_served(client: Client, parts: int) -> None:
    head = ["POST /api/token/ HTTP/1.1", "Host: ice", JSON, *UPGRADE]
    chunked = f"{len(SIGN_IN):x}\r\n{SIGN_IN}\r\n0\r\n\r\n"
    for length, body in (
        (f"Content-Length: {len(SIGN_IN)}", SIGN_IN),
        ("Transfer-Encoding: chunked", chunked),
    ):
        sent = "\r\n".join([*head, length, "", body]).encode()
        size = len(sent) // parts + 1
        for start in range(0, len(sent), size):
            client.socket.sendall(sent[start : start + size])
        status, fields = client.head()
        assert status == 200
        assert b"access" in client.body(fields["content-length"])
    client.send("GET /health/live HTTP/1.1", *UPGRADE)
    status, fields = client.head()
    client.body(fields["content-length"])
    client.send("GET /health/live HTTP/1.1", "Connection: Upgrade, close", "Upgrade: websocket")
    final_status, fields = client.head()
    assert (status, final_status, fields["connection"]) == (200, 200, "close")
    assert len(client.rest()) == int(fields["content-length"])


@pytest.mark.parametrize("fields", [(), ("Content-Length: 5",), ("Transfer-Encoding: chunked",)])
def test_connect_to_a_path_is_405_and_the_last_request(
    client: Client, fields: tuple[str, ...]
) -> None:
    client.send("CONNECT /api/orders/ HTTP/1.1", *fields, body=b"GET / HTTP/1.1\r\n\r\n")
    status, answered = client.head()
    assert (status, answered["connection"]) == (405, "close")
    assert b"HTTP/1.1" not in client.rest()


def test_connect_is_refused(client: Client) -> None:
    client.send("CONNECT ice:443 HTTP/1.1")
    assert client.head()[0] in (400, 404, 405)


@pytest.mark.parametrize("path", ["/api/orders/", "/api/flavors/", "/api/events/"])
def test_http_1_0_has_no_chunks_and_ends_with_the_connection(
    client: Client, shop: Shop, path: str
) -> None:
    client.send(f"GET {path} HTTP/1.0", access(shop), "Connection: keep-alive")
    status, fields = client.head()
    assert (status, fields["connection"]) == (200, "close")
    assert "transfer-encoding" not in fields
    if path == "/api/events/":
        assert client._until(b"\n\n").startswith(b"retry:")
    else:
        assert re.fullmatch(rb"\[.*\]", client.rest())


def test_an_idle_connection_stays_open_for_the_configured_time(
    client: Client,
) -> None:
    began = time.monotonic()
    client.send("GET /health/live HTTP/1.1")
    _, fields = client.head()
    client.body(fields["content-length"])
    assert client.rest() == b""
    assert time.monotonic() - began > 0.99


class Accepted(asyncio.Transport):
    """A dual-stack socket (IPv6 and IPv4) with a client that connected over IPv4."""

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("::ffff:127.0.0.1", 4711)}.get(name, default)

    def write(self, data: Any) -> None:
        """Discard the data; no client reads it."""

    def is_closing(self) -> bool:
        return True


async def test_a_proxy_is_trusted_on_a_socket_for_both_kinds_of_addresses() -> None:
    seen: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.set_result(scope["client"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(application, log_config=None, forwarded_allow_ips=["127.0.0.1"])
    connection = connections.ClientConnection(config, ServerState(), {})
    connection.connection_made(Accepted())
    assert connection.client == ("127.0.0.1", 4711)
    connection.data_received(b"GET / HTTP/1.1\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n")
    assert (await seen)[0] == "192.0.2.7"
