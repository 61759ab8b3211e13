"""HTTP/1 connections: the work that uvicorn leaves to a proxy in front of it."""

import asyncio
from typing import cast
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from icecream.http.response_cycle import ResponseCycle

# A response may be sent before its request was read completely. Then the rest of the request is
# read and discarded for this time, so that the client can read the response: closing a socket with
# unread data sends a reset.
LINGER_SECONDS = 2.0
# The same while the server stops, so that it need not wait longer than for open requests.
STOP_LINGER_SECONDS = 0.5
MAX_LINGER_BYTES = 8_000_000
MAPPED_IPV4_PREFIX = "::ffff:"
UPGRADE_HEADERS = (b"upgrade", b"http2-settings")


class ClientConnection(HttpToolsProtocol):
    """A client's connection.

    It is reused only after a request was read completely (RFC 9112, 9.3). A response that is sent
    earlier has `Connection: close`, and is the last one.
    """

    _reusable = False
    # The time since which the connection has been idle; None while there is a request.
    _idle_since: float | None = None
    _lingering: asyncio.TimerHandle | None = None
    _linger_bytes_left = MAX_LINGER_BYTES
    _linger_seconds = LINGER_SECONDS

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._unread = cast(asyncio.Transport, _UnreadRequestTransport(self))
        # An IPv6 socket may also accept IPv4: then the client's address is its IPv4 address.
        if self.client and self.client[0].startswith(MAPPED_IPV4_PREFIX):
            self.client = (self.client[0].removeprefix(MAPPED_IPV4_PREFIX), self.client[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)
        # Break the reference cycle between the two.
        del self._unread

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._linger_bytes_left -= len(data)
            if self._linger_bytes_left < 0:
                self.transport.close()
            return
        self._idle_since = None
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
                if not self._is_ignored():
                    # The request is refused; what follows is not HTTP.
                    return
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
        version, url = self.parser.get_http_version(), httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = version
        self.scope["path"] = unquote(path) if "%" in path else path
        self.scope["raw_path"] = url.path
        self.scope["query_string"] = url.query or b""
        # Only CONNECT is still an upgrade here: no other request may follow it.
        self._reusable = (
            version != "1.0"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )
        previous = self.cycle
        self.cycle = ResponseCycle(
            scope=self.scope,
            transport=self._unread,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            # HTTP/1.0 has no 100 Continue.
            expect_100_continue=self.expect_100_continue and version != "1.0",
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        if previous is None or previous.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade() and self._is_ignored():
            return
        super().on_message_complete()
        cycle = self.cycle
        cycle.transport = self.transport
        if not cycle.response_started:
            cycle.keep_alive = self._reusable

    def on_response_complete(self) -> None:
        """Begin the next request that has arrived, or wait for one.

        uvicorn starts and cancels a timer for each request. Here one timer lasts for many requests.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._check_idle_after(self.timeout_keep_alive)

    def _check_idle_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            seconds, self.timeout_keep_alive_handler
        )

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection if it was idle for long enough."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            # The end of the current request sets the timer again.
            return
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._check_idle_after(left)
        elif not self.transport.is_closing():
            self.transport.close()

    def shutdown(self) -> None:
        self._reusable = False
        self._linger_seconds = STOP_LINGER_SECONDS
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = self.loop.call_later(STOP_LINGER_SECONDS, self.transport.close)
        super().shutdown()

    @property
    def is_ending(self) -> bool:
        """Whether the connection accepts no further request."""
        return self._lingering is not None or self.transport.is_closing()

    def linger(self) -> None:
        """Close the connection after the client had time to read the response (RFC 9112, 9.6)."""
        if not self.is_ending:
            self._lingering = self.loop.call_later(self._linger_seconds, self.transport.close)
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
