"""Test that no request is read in two ways: where it ends, for whom it is, what its fields are."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.http.test_connections import Client
from tests.processes import Shop

# The connection does not depend on the database.
pytestmark = pytest.mark.only("sqlite")
POST = "POST /api/token/ HTTP/1.1\r\nHost: ice\r\nContent-Type: application/json\r\n"
GET = "GET /health/live HTTP/1.1\r\nHost: ice\r\n"
BODY = '{"username": "x", "password": "y"}'
LENGTH = f"Content-Length: {len(BODY)}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
CHUNKS = f"{len(BODY):x}\r\n{BODY}\r\n0\r\n\r\n"
# A request that must not be answered: another server could take it for a part of the first one.
SMUGGLED = f"{GET}\r\n"
AMBIGUOUS = [
    f"{POST}{LENGTH}{CHUNKED}\r\n{CHUNKS}",
    f"{POST}{CHUNKED}{LENGTH}\r\n{CHUNKS}",
    f"{POST}{LENGTH}{LENGTH}\r\n{BODY}",
    f"{POST}{LENGTH}Content-Length: 5\r\n\r\n{BODY}",
    f"{POST}Content-Length: {len(BODY)}, {len(BODY)}\r\n\r\n{BODY}",
    f"{POST}Content-Length: +{len(BODY)}\r\n\r\n{BODY}",
    f"{POST}Content-Length: -1\r\n\r\n",
    f"{POST}Content-Length: 1e1\r\n\r\n",
    f"{POST}Content-Length: {10**30}\r\n\r\n",
    f"{POST}Content-Length : {len(BODY)}\r\n\r\n{BODY}",
    f"{POST}Transfer-Encoding: xchunked\r\n\r\n{CHUNKS}",
    f"{POST}Transfer-Encoding: chunked, identity\r\n\r\n{CHUNKS}",
    f"{POST}{CHUNKED}Transfer-Encoding: identity\r\n\r\n{CHUNKS}",
    f"{POST}{CHUNKED}\r\n-1\r\n{BODY}\r\n0\r\n\r\n",
    f"{POST}{CHUNKED}\r\n{'f' * 17}\r\n{BODY}",
    f"{POST}{CHUNKED}\r\n{CHUNKS}".replace("\r\n0\r\n\r\n", "\n0\n\n"),
    f"{POST}{CHUNKED}\r\n{len(BODY):x}\r\n{BODY}\r\n0\r\nContent-Length: 3\r\n\r\n",
    f"{GET}X: a\r\n folded\r\n\r\n",
    f"{GET}X: a\rb\r\n\r\n",
    f"{GET}X: a\0b\r\n\r\n",
    f"{GET}X\0: a\r\n\r\n",
    f"{GET}: a\r\n\r\n",
    f"{GET}\r\n".replace("\r\n", "\n"),
    GET.replace("1.1", "9.9") + "\r\n",
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite") as shop:
        shop.serve()
        yield shop


@pytest.fixture
def client(shop: Shop) -> Iterator[Client]:
    with closing(Client(shop.port)) as client:
        yield client


@pytest.mark.parametrize("sent", AMBIGUOUS, ids=lambda sent: ascii(sent[90:140]))
def test_an_ambiguous_request_ends_its_connection(client: Client, sent: str) -> None:
    client.socket.sendall((sent + SMUGGLED).encode())
    answers = client.rest()
    assert answers.startswith(b"HTTP/1.1 400 ")
    assert answers.count(b"HTTP/1.1") == 1


@pytest.mark.parametrize(("version", "status"), [("1.1", 400), ("1.0", 200)])
def test_only_http_1_0_has_no_host(client: Client, version: str, status: int) -> None:
    client.socket.sendall(f"GET /health/live HTTP/{version}\r\n\r\n".encode())
    assert client.head()[0] == status


def test_trailing_fields_are_bounded(client: Client) -> None:
    trailers = "X: y\r\n" * 20_000
    chunks = CHUNKS.removesuffix("\r\n")
    client.socket.sendall(f"{POST}{CHUNKED}\r\n{chunks}{trailers}\r\n".encode())
    assert client.head()[0] == 431
