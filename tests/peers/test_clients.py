"""Test the service with curl, without a proxy between them."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import ADMIN_PASSWORD, tool
from tests.processes import Shop

pytestmark = [pytest.mark.needs("curl"), pytest.mark.only("sqlite")]
SIGN_IN = json.dumps({"username": "admin", "password": ADMIN_PASSWORD})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite") as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop


def curl(shop: Shop, path: str, *options: str, body: bytes = b"") -> tuple[str, str]:
    """Return the body, and a line with HTTP version, status and number of connections."""
    write_out = ["--write-out", "\n%{http_version} %{http_code} %{num_connects}"]
    words = ["--silent", "--show-error", "--max-time", "20", *write_out, *options]
    command = [tool("curl") or "curl", *words, f"{shop.http.base_url}{path}"]
    answer = subprocess.run(command, input=body, capture_output=True)
    assert answer.returncode == 0, answer
    text, _, last = answer.stdout.decode().rpartition("\n")
    return text, last


def test_a_curl_request_for_http_2_is_served_with_http_1(shop: Shop) -> None:
    twice = f"{shop.http.base_url}/api/token/"
    text, last = curl(shop, "/api/token/", "--http2", "--json", SIGN_IN, twice)
    assert last == "1.1 200 0"
    assert text.count('{"access"') == 2


def test_curl_speaks_http_1_0(shop: Shop) -> None:
    access = f"Authorization: {shop.http.headers['Authorization']}"
    text, last = curl(shop, "/api/orders/", "--http1.0", "--include", "--header", access)
    head, _, body = text.partition("\r\n\r\n")
    assert last.startswith("1.1 200")
    assert "chunked" not in head.lower()
    assert json.loads(body) == shop.http.get("/api/orders/").json()


def test_curl_gets_the_headers_of_a_head_request(shop: Shop) -> None:
    for path in ("/", "/health/ready", "/schema/openapi.json"):
        text, last = curl(shop, path, "--head")
        assert last == "1.1 200 1"
        assert "content-type" in text


def test_curl_gets_the_refusal_of_a_large_body(shop: Shop) -> None:
    large = b'{"note": "' + b"x" * 3_000_000 + b'"}'
    kind = ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    for more in ([], ["--header", "Expect:"], ["--header", "Transfer-Encoding: chunked"]):
        text, last = curl(shop, "/api/orders/", *kind, *more, body=large)
        assert last == "1.1 401 1"
        assert json.loads(text)["code"]
