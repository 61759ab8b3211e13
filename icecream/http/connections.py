"""HTTP/1 connections: the work that uvicorn leaves to a proxy in front of it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# A response may be sent before its request was read completely. Then the rest of the request is
# read and discarded for this time, so that the client can read the response: closing a socket with
# unread data sends a reset.
LINGER_SECONDS = 2.0
MAX_LINGER_BYTES = 8_000_000
MAPPED_IPV4_PREFIX = "::ffff:"
UPGRADE_HEADERS = (b"upgrade", b"http2-settings")


class ClientConnection(HttpToolsProtocol):
    """A client's connection.

    It is reused only after a request was read completely (RFC 9112, 9.3). A response that is sent
    earlier has `Connection: close`, and is the last one.
    """

    _reusable = False
    _lingering: asyncio.TimerHandle | None = None
    _linger_bytes_left = MAX_LINGER_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._unread = cast(asyncio.Transport, _UnreadRequestTransport(self))
        # An IPv6 socket may also accept IPv4: then the client's address is its IPv4 address.
        if self.client and self.client[0].startswith(MAPPED_IPV4_PREFIX):
            self.client = (self.client[0].removeprefix(MAPPED_IPV4_PREFIX), self.client[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)
        # Break the reference cycle between the two.
        del self._unread

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._linger_bytes_left -= len(data)
            if self._linger_bytes_left < 0:
                self.transport.close()
            return
        self._unset_keepalive_if_required()
        try:
            self._parse(data)
        except httptools.HttpParserError:
            self.logger.warning("Invalid HTTP request received.")
            self.send_400_response("Invalid HTTP request received.")

    def _parse(self, data: bytes | memoryview) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as error:
                # The parser treats the following bytes as another protocol. A server need not
                # upgrade (RFC 9110, 7.8), so the request is parsed again without the upgrade.
                data = memoryview(data)[error.args[0] :]
                head = self._head_without_upgrade()
                # After `Connection: close`, the old parser accepts no other request.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
            else:
                return

    def _is_ignored(self) -> bool:
        """Whether a request for an upgrade is parsed again without it."""
        return self.parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        fields = [_header_line(*field) for field in self.headers if field[0] not in UPGRADE_HEADERS]
        return b"\r\n".join([line, *fields, b"", b""])

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._is_ignored():
            return
        super().on_headers_complete()
        cycle = self.cycle
        self._reusable, cycle.keep_alive = cycle.keep_alive, False
        cycle.transport = self._unread
        if self.scope["http_version"] == "1.0":
            # HTTP/1.0 has no 100 Continue.
            cycle.waiting_for_100_continue = False
            cycle.send = _send_without_chunks(cycle)  # type: ignore[method-assign]  # only for this cycle

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._is_ignored():
            return
        super().on_message_complete()
        cycle = self.cycle
        cycle.transport = self.transport
        if not cycle.response_started:
            cycle.keep_alive = self._reusable

    def shutdown(self) -> None:
        self._reusable = False
        super().shutdown()

    @property
    def is_ending(self) -> bool:
        """Whether the connection accepts no further request."""
        return self._lingering is not None or self.transport.is_closing()

    def linger(self) -> None:
        """Close the connection after the client had time to read the response (RFC 9112, 9.6)."""
        if not self.is_ending:
            self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.close)
            self.transport.write_eof()
            self.flow.resume_reading()
            if self.cycle is not None:
                # No further request is expected.
                self.cycle.on_response = _do_nothing


def _do_nothing() -> None:
    pass


def _header_line(name: bytes, value: bytes) -> bytes:
    if name == b"connection":
        options = [option.strip() for option in value.split(b",")]
        value = b", ".join(option for option in options if option.lower() not in UPGRADE_HEADERS)
    return name + b": " + value


class _UnreadRequestTransport:
    """The transport of a response while its request has not been read completely."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        self._connection.linger()


def _send_without_chunks(cycle: RequestResponseCycle) -> Callable[..., Coroutine[Any, Any, None]]:
    """Send without chunks, for HTTP/1.0: a body of unknown length ends with the connection."""
    send = cycle.send

    async def send_unchunked(message: Any) -> None:
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
                cycle.chunked_encoding = False
        elif cycle.chunked_encoding is False:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return send_unchunked
