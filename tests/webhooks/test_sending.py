"""Test the HTTP requests of webhooks: the checked addresses, the limits, TLS."""

import asyncio
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from icecream.webhooks import connections, sending
from tests.webhooks.conftest import LOCAL
from tests.webhooks.receivers import Receiver, receiving

pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]
# The system understands all of these as addresses of this machine.
OTHER_NOTATIONS = ("2130706433", "0", "127.1")
Send = Callable[[str], asyncio.Future[sending.SendResult]]


@pytest.fixture
async def local() -> AsyncIterator[sending.Sender]:
    """A sender that may connect to this machine."""
    sender = sending.Sender(LOCAL)
    yield sender
    await sender.close()


@pytest.fixture
async def public() -> AsyncIterator[sending.Sender]:
    """A sender that may connect only to public addresses."""
    sender = sending.Sender(())
    yield sender
    await sender.close()


async def send(sender: sending.Sender, url: str) -> sending.SendResult:
    return await sender.send(url, {"Content-Type": "application/json"}, '{"data": {}}')


async def test_a_private_address_is_never_connected_to(public: sending.Sender) -> None:
    async with receiving() as receiver:
        for scheme in ("http", "https"):
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
                result = await send(public, f"{scheme}://{host}:{receiver.port}/")
                assert result.error == "The host has no public address.", (scheme, host)
                assert (result.status_code, result.is_accepted) == (None, False)
            for notation in OTHER_NOTATIONS:
                result = await send(public, f"{scheme}://{notation}:{receiver.port}/")
                assert result.error and not result.is_accepted, (scheme, notation)
        assert receiver.received == []


async def test_no_socket_is_opened_for_an_address_in_another_notation() -> None:
    with ThreadPoolExecutor(1) as threads:
        resolver = connections.CheckedResolver(threads, LOCAL, public=True)
        for address in (*OTHER_NOTATIONS, "localhost", ""):
            with pytest.raises(connections.ForbiddenAddress):
                resolver.open_socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 80)))


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch, local: sending.Sender, public: sending.Sender
) -> None:
    """A name that resolves to another address the second time (DNS rebinding) is no way around."""
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["192.168.7.7"]

    monkeypatch.setattr(connections, "_resolve", resolve)
    async with receiving() as receiver:
        assert (await send(local, f"http://rebinds.example:{receiver.port}/")).is_accepted
        assert asked == ["rebinds.example"]
        assert receiver.received[0].headers["host"] == f"rebinds.example:{receiver.port}"
        result = await send(public, f"https://rebinds.example:{receiver.port}/")
        assert result.error == "The host has no public address."


async def test_only_the_allowed_addresses_of_a_host_are_used(
    monkeypatch: pytest.MonkeyPatch, local: sending.Sender
) -> None:
    monkeypatch.setattr(connections, "_resolve", lambda *_: ["10.0.0.1", "127.0.0.2", "127.0.0.1"])
    async with receiving() as receiver:
        assert (await send(local, f"http://several.example:{receiver.port}/")).is_accepted


async def test_without_tls_no_public_address_is_used_after_others_either(
    monkeypatch: pytest.MonkeyPatch, local: sending.Sender
) -> None:
    async with receiving() as receiver:
        assert not (await send(local, f"https://127.0.0.1:{receiver.port}/")).is_accepted
    monkeypatch.setattr(connections, "_resolve", lambda *_: ["93.184.216.34"])
    result = await send(local, "http://public.example/")
    assert result.error == "The host has no public address."


async def test_a_redirect_is_not_followed(local: sending.Sender) -> None:
    async with receiving() as target, receiving(lambda _: 307) as receiver:
        receiver.headers = f"Location: {target.url}\r\n"
        result = await send(local, receiver.url)
        assert (result.status_code, result.is_accepted) == (307, False)
        assert target.received == []


async def test_only_the_start_of_an_answer_is_read(local: sending.Sender) -> None:
    async with receiving() as receiver:
        receiver.answer = b"\0x" * 5_000_000
        result = await send(local, receiver.url)
        assert result.is_accepted
        assert result.answer == "�x" * (connections.MAX_ANSWER_CHARACTERS // 2)


async def test_a_failure_is_a_result_with_its_reason(
    local: sending.Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "TOTAL_TIMEOUT_SECONDS", 0.2)
    async with receiving(lambda _: None) as receiver:
        assert (await send(local, receiver.url)).error
        receiver.behavior = lambda _: 3.0
        assert (await send(local, receiver.url)).error == "No answer within 0.2 s."
        dead = receiver.url
    assert (await send(local, dead)).error
    result = await send(local, "http://missing.invalid/")
    assert result.error == "The host was not found."


async def test_a_name_server_that_does_not_answer_ends_with_the_time_to_connect(
    local: sending.Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = threading.Event()
    monkeypatch.setattr(connections, "CONNECT_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(connections, "_resolve", lambda *_: waiting.wait(5) or ["127.0.0.1"])
    try:
        result = await send(local, "http://slow.example/")
    finally:
        waiting.set()
    assert (result.is_accepted, result.error) == (False, "No connection within 0.1 s.")


async def test_a_slow_answer_ends_with_the_total_time(
    local: sending.Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b"x")
            await asyncio.sleep(0.05)

    monkeypatch.setattr(connections, "TOTAL_TIMEOUT_SECONDS", 0.3)
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        result = await send(local, f"http://127.0.0.1:{port}/")
    assert (result.is_accepted, result.error) == (False, "No answer within 0.3 s.")


async def test_no_proxy_of_the_environment_is_used(
    local: sending.Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with receiving() as receiver, receiving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        sender = sending.Sender(LOCAL)
        assert (await send(sender, receiver.url)).is_accepted
        await sender.close()
        assert proxy.received == []


async def test_a_certificate_must_be_valid_for_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("shop.example").configure_cert(context)
    monkeypatch.setattr(connections, "_resolve", lambda *_: ["127.0.0.1"])
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        untrusting = sending.Sender(LOCAL)
        assert not (await send(untrusting, f"https://shop.example:{port}/")).is_accepted
        await untrusting.close()
        with authority.cert_pem.tempfile() as certificates:
            monkeypatch.setenv("SSL_CERT_FILE", certificates)
            connections.tls_context.cache_clear()
            trusting = sending.Sender(LOCAL)
            assert (await send(trusting, f"https://shop.example:{port}/")).is_accepted
        result = await send(trusting, f"https://other.example:{port}/")
        assert "certificate" in (result.error or "")
        await trusting.close()
    connections.tls_context.cache_clear()
    assert len(receiver.received) == 1


@asynccontextmanager
async def answering(
    answer: bytes, *, ends: bool = False, hangs: bool = False
) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Yield the URL of a server with this answer to each message, and the heads that it gets.

    It closes the connection after an answer, or sends no more, or waits for the next message.
    """
    heads: list[bytes] = []
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while not stop.is_set():
                heads.append(await reader.readuntil(b"\r\n\r\n"))
                await reader.readexactly(len('{"data": {}}'))
                writer.write(answer)
                if ends:
                    break
                if hangs:
                    await stop.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/%7ehooks?a=%41", heads
        stop.set()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"


async def test_a_closed_idle_connection_fails_no_message(local: sending.Sender) -> None:
    async with answering(OK + b"\r\nok", ends=True) as (url, heads):
        for _ in range(20):
            assert (await send(local, url)).answer == "ok"
            # The receiver closes the connection meanwhile, and this process does not notice it.
            threading.Event().wait(0.01)
        assert len(heads) == 20


async def test_an_answer_that_never_ends_is_read_up_to_the_limit(local: sending.Sender) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (connections.MAX_ANSWER_BYTES, b"x" * connections.MAX_ANSWER_BYTES)
    async with answering(head + chunk, hangs=True) as (url, _):
        result = await asyncio.wait_for(send(local, url), connections.TOTAL_TIMEOUT_SECONDS / 2)
    assert result.is_accepted


async def test_a_message_is_sent_as_it_is_and_nothing_is_kept(local: sending.Sender) -> None:
    more = b"Set-Cookie: a=1\r\nContent-Encoding: gzip\r\n\r\nok"
    async with answering(OK + more) as (url, heads):
        for _ in range(2):
            assert (await send(local, url)).answer == "ok"
    for head in heads:
        assert head.startswith(b"POST /%7ehooks?a=%41 HTTP/1.1\r\n")
        names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:] if line}
        assert names == {b"host", b"content-type", b"content-length", b"user-agent"}


async def test_a_long_header_field_is_no_error_and_other_answers_say_what_is_wrong(
    local: sending.Sender,
) -> None:
    async with answering(OK + b"X-Trace: %s\r\n\r\nok" % (b"x" * 20_000)) as (url, _):
        assert (await send(local, url)).is_accepted
    async with answering(b"ok\r\n\r\n", ends=True) as (url, _):
        error = (await send(local, url)).error or ""
    assert error.startswith("The answer is not valid HTTP: ")
    assert "\n" not in error
    assert (await send(local, url)).error == "Connection refused."


async def test_a_name_with_many_addresses_is_tried_at_a_few(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_resolve", lambda *_: [f"127.0.0.{n}" for n in range(1, 9)])
    with ThreadPoolExecutor(1) as threads:
        resolver = connections.CheckedResolver(threads, LOCAL, public=False)
        found = await resolver.resolve("many.example", 80)
    assert [one["host"] for one in found] == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


@pytest.mark.parametrize(
    ("status", "text", "low", "high"),
    [
        (429, "30", 30, 30),
        (503, "30", 30, 30),
        (500, "30", 0, 0),
        (429, "9" * 400, 3600, 3600),
        (429, "soon", 0, 0),
        (429, "-5", 0, 0),
        (429, "1.5", 0, 0),
        (429, "Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", 3600, 3600),
        (429, "Thu, 01 Jan 99999999999 00:00:00 GMT", 0, 0),
        (503, format_datetime(datetime.now(UTC) + timedelta(seconds=1800), usegmt=True), 1, 1800),
    ],
)
async def test_the_receiver_may_ask_for_a_pause(
    local: sending.Sender, status: int, text: str, low: float, high: float
) -> None:
    async with receiving(lambda _: status) as busy:
        busy.headers = f"Retry-After: {text}\r\n"
        assert low <= (await send(local, busy.url)).retry_after <= high
