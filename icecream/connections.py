"""HTTP/1 on a connection: what uvicorn leaves to the proxy that it expects to be there."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

# After an answer that went out before its request was read, the rest of the request is discarded
# for a while, so that the client can read the answer: a socket closed with unread data sends a
# reset.
LINGER_SECONDS = 2.0
LINGER_BYTES = 8_000_000
MAPPED_IPV4 = "::ffff:"
OF_UPGRADES = (b"upgrade", b"http2-settings")


class Connection(HttpToolsProtocol):
    """A client's connection.

    It is used again only once a request was read to its end (RFC 9112, 9.3): an answer that goes
    out before says `Connection: close`, and is the last one.
    """

    _reusable = False
    _lingering: asyncio.TimerHandle | None = None
    _left = LINGER_BYTES

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._unread = cast(asyncio.Transport, _Unread(self))
        # A socket for IPv6 that takes IPv4 too: the address of the client is its IPv4 address.
        if self.client and self.client[0].startswith(MAPPED_IPV4):
            self.client = (self.client[0].removeprefix(MAPPED_IPV4), self.client[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        super().connection_lost(exc)
        # The two name each other.
        del self._unread

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._left -= len(data)
            if self._left < 0:
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
                # The parser takes what follows for another protocol's. Nobody is obliged to change
                # it (RFC 9110, 7.8), so the same request is parsed without the wish to.
                data = memoryview(data)[error.args[0] :]
                head = self._head_without_upgrade()
                # After a last request the old one takes no other.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
            else:
                return

    def _is_ignored(self) -> bool:
        """Whether a request that wishes for an upgrade comes again without it."""
        return self.parser.get_method() != b"CONNECT"

    def _head_without_upgrade(self) -> bytes:
        line = b"%b %b HTTP/%b" % (
            self.parser.get_method(),
            self.url,
            self.parser.get_http_version().encode(),
        )
        fields = [_kept(*field) for field in self.headers if field[0] not in OF_UPGRADES]
        return b"\r\n".join([line, *fields, b"", b""])

    def on_headers_complete(self) -> None:
        if self.parser.should_upgrade() and self._is_ignored():
            return
        super().on_headers_complete()
        cycle = self.cycle
        self._reusable, cycle.keep_alive = cycle.keep_alive, False
        cycle.transport = self._unread
        if self.scope["http_version"] == "1.0":
            # Nor may it be told to continue.
            cycle.waiting_for_100_continue = False
            cycle.send = _without_chunks(cycle)  # type: ignore[method-assign]  # for this one alone

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

    def linger(self) -> None:
        """Close it for us, and for the client once it had time to read the answer (9.6)."""
        if self._lingering is None and not self.transport.is_closing():
            self._lingering = self.loop.call_later(LINGER_SECONDS, self.transport.close)
            self.transport.write_eof()
            self.flow.resume_reading()
            # No other request is waited for.
            self.cycle.on_response = _nothing


def _nothing() -> None:
    pass


def _kept(name: bytes, value: bytes) -> bytes:
    if name == b"connection":
        options = [one.strip() for one in value.split(b",")]
        value = b", ".join(one for one in options if one.lower() not in OF_UPGRADES)
    return name + b": " + value


class _Unread:
    """The transport of an answer while its request has not been read to the end."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.write = connection.transport.write
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        self._connection.linger()


def _without_chunks(cycle: RequestResponseCycle) -> Callable[..., Coroutine[Any, Any, None]]:
    """HTTP/1.0 has no chunks: an answer of unknown length goes on until the connection ends."""
    send = cycle.send

    async def send_as_it_is(message: Any) -> None:
        if message["type"] == "http.response.start":
            if not any(name.lower() == b"content-length" for name, _ in message["headers"]):
                cycle.chunked_encoding = False
        elif cycle.chunked_encoding is False:
            cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    return send_as_it_is
