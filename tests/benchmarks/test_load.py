"""Test the load generator; no test checks the measured speed."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from benchmarks import load

# These tests do not use a database.
pytestmark = [pytest.mark.only("sqlite"), pytest.mark.needs("wrk"), pytest.mark.slow]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 200 to orders of flavor 1, 503 to other requests.

    It answers late at `/slow`, and not at all at `/silent`.
    """

    protocol_version = "HTTP/1.1"
    ended = threading.Event()

    def do_POST(self) -> None:
        if self.path == "/silent":
            self.ended.wait()
        if self.path == "/slow":
            self.ended.wait(1.5)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200 if body == b'{"quantity": 1, "flavor": 1}' else 503)

    def do_GET(self) -> None:
        self.answer(503)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def address() -> Iterator[str]:
    Handler.ended.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Handler.ended.set()
        server.shutdown()
        serving.join()


def test_orders_are_counted(address: str) -> None:
    found = load.run(address, "/", "token", connections=1, seconds=1, flavors=[1], warmup=False)
    assert found.all_responses > 0
    assert found.rate > 0
    assert 0 < found.p50 <= found.p99


@pytest.mark.parametrize("flavors", [[1, 2], []], ids=["some orders", "reads"])
def test_a_failing_call_stops_the_measurement(address: str, flavors: list[int]) -> None:
    with pytest.raises(load.CallsFailed, match=r"^/: of \d+ calls, \d+ got an error status$"):
        load.run(address, "/", "token", connections=1, seconds=1, flavors=flavors, warmup=False)


def test_a_measurement_without_a_response_stops(address: str) -> None:
    with pytest.raises(load.CallsFailed, match=r"^/silent: no call got a response in 5 s$"):
        load.run(address, "/silent", "token", connections=1, seconds=1, flavors=[1])


def test_a_measurement_without_a_response_is_repeated_for_longer(address: str) -> None:
    found = load.run(address, "/slow", "token", connections=1, seconds=1, flavors=[1])
    assert found.all_responses > 0
