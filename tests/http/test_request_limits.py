"""Test that requests are neither too large nor too slow, with real connections."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from icecream.http import request_limits
from tests.conftest import ADMIN_PASSWORD
from tests.http.test_connections import Client
from tests.processes import Shop

# The connection does not depend on the database.
pytestmark = pytest.mark.only("sqlite")
TIMEOUT_SECONDS = 1.0
SHORT_TIMEOUTS = f"""
from icecream.http import request_limits
request_limits.HEAD_TIMEOUT_SECONDS = request_limits.BODY_TIMEOUT_SECONDS = {TIMEOUT_SECONDS}
request_limits.MIN_BYTES_PER_SECOND = 20
"""
MANY = 1000


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite") as shop:
        shop.ready(shop.begin_altered(SHORT_TIMEOUTS, "serve"))
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with closing(Client(shop.port)) as client:
        yield client


@pytest.mark.parametrize(
    "fields",
    [
        [f"X-{n}: a" for n in range(request_limits.MAX_HEADER_FIELDS)],
        ["X: " + "a" * request_limits.MAX_HEAD_BYTES],
        ["X: " + "a" * 3_000_000],
        [f"X-{n}: {'a' * 1000}" for n in range(33)],
    ],
)
def test_a_head_that_is_too_large_is_refused(client: Client, fields: list[str]) -> None:
    client.send("GET /health/live HTTP/1.1", *fields)
    status, headers = client.head()
    assert (status, headers["connection"]) == (431, "close")
    assert headers["content-type"] == "application/problem+json"
    assert client.rest() == b'{"title":"Request Header Fields Too Large","status":431}'


def test_a_path_that_is_too_long_is_refused(client: Client) -> None:
    client.socket.sendall(b"GET /%b HTTP/1.0\r\n\r\n" % (b"a" * request_limits.MAX_HEAD_BYTES))
    assert client.head()[0] == 431


def test_a_head_at_the_limit_is_accepted(client: Client) -> None:
    most = [f"X-{n}: {'a' * 300}" for n in range(request_limits.MAX_HEADER_FIELDS - 1)]
    for _ in range(2):
        client.send("GET /health/live HTTP/1.1", *most)
        status, headers = client.head()
        assert status == 200
        client.body(headers["content-length"])


def test_a_long_body_has_more_time(shop: Shop) -> None:
    """Only a file to import: nobody else may hold a connection for long."""
    body = b"flavor_name,price_minor\n" + b"\n" * 1000
    for path, status in (("/api/import/prices", 200), ("/admin/public/login/", 408)):
        with closing(Client(shop.port)) as client:
            client.send(
                f"POST {path} HTTP/1.1",
                "Content-Type: text/csv",
                f"Authorization: {shop.http.headers['Authorization']}",
                f"Content-Length: {len(body)}",
            )
            client.socket.sendall(body[:1])
            time.sleep(2 * TIMEOUT_SECONDS)
            with suppress(OSError):
                client.socket.sendall(body[1:])
            assert client.head()[0] == status


@pytest.mark.parametrize(
    "begin",
    [
        b"GET /health/live HTTP/1.1\r\nHost: ice\r\nX: ",
        b"POST /api/orders/ HTTP/1.1\r\nHost: ice\r\nContent-Type: application/json\r\n"
        b"Authorization: %b\r\nContent-Length: 28\r\n\r\n{",
    ],
    ids=["head", "body"],
)
def test_a_slow_request_is_ended(shop: Shop, client: Client, begin: bytes) -> None:
    token = shop.http.headers["Authorization"].encode()
    client.socket.sendall(begin % token if b"%b" in begin else begin)
    client.socket.settimeout(TIMEOUT_SECONDS / 10)
    began = time.monotonic()
    answer = b""
    # One byte at a time does not extend the time.
    while b"}" not in answer and time.monotonic() < began + 20 * TIMEOUT_SECONDS:
        client.socket.sendall(b"a")
        with suppress(TimeoutError):
            answer += client.socket.recv(65536)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n"), answer
    assert time.monotonic() - began >= TIMEOUT_SECONDS / 2


def test_a_silent_connection_is_closed(client: Client) -> None:
    assert client.rest() == b""


def test_empty_lines_do_not_keep_a_connection_open(client: Client) -> None:
    client.send("GET /health/live HTTP/1.1")
    client.body(client.head()[1]["content-length"])
    client.socket.settimeout(TIMEOUT_SECONDS / 10)
    for _ in range(200):
        try:
            client.socket.sendall(b"\r\n")
            if client.socket.recv(65536) == b"":
                return
        except TimeoutError:
            continue
        except ConnectionError:
            return
    raise AssertionError("The connection stays open.")


def test_many_slow_connections_do_not_stop_other_requests(shop: Shop) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(closing(Client(shop.port))) for _ in range(MANY)]
        for one in slow[::2]:
            one.socket.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert shop.http.get("/api/flavors/").status_code == 200
        for one in slow:
            # On a busy machine, the server closes some connections before their bytes arrive.
            with suppress(ConnectionResetError):
                one.rest()
        assert shop.order() > 0
