"""Limits for the head of a request, and deadlines for its head and its body.

uvicorn has none of them. Without limits, one client can occupy the event loop with the parsing of
its header fields, and many silent clients can use up the connections of the process.
"""

import asyncio
from http import HTTPStatus

import msgspec

from icecream import errors
from icecream.http.connections import ClientConnection

# The request line and the header fields together. Proxies have similar limits.
MAX_HEAD_BYTES = 32_768
MAX_HEADER_FIELDS = 100
# The time for a client to send the head, and then the body. A long body, such as a file with many
# rows, has more time, if its length is announced: as much as a slow line needs.
HEAD_TIMEOUT_SECONDS = 10.0
BODY_TIMEOUT_SECONDS = 30.0
MIN_BYTES_PER_SECOND = 100_000
FILES_PATH = b"/api/import/"
MAX_BODY_TIMEOUT_SECONDS = 1200.0
# The time for the rest of a body after the server began to stop: shorter than the time after which
# uvicorn cancels a request, which it logs as an error (`cli.serve.REQUEST_GRACE_SECONDS`).
STOP_TIMEOUT_SECONDS = 1.0
# What a header field has beside its name and its value: a colon, a space, and the end of the line.
FIELD_OVERHEAD_BYTES = 4


class HeadTooLarge(Exception):
    """The head of a request exceeds a limit; the parser wraps this exception in its own."""


class LimitedConnection(ClientConnection):
    """A client's connection, on which requests are neither too large nor too slow."""

    _deadline: asyncio.TimerHandle | None = None
    _in_body = False
    # The bytes of the current head so far: of its complete fields, and of all data.
    _field_bytes = 0
    _received_bytes = 0
    _head_is_too_large = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._set_deadline(HEAD_TIMEOUT_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        if self._in_body:
            self._clear_deadline()
            self._set_deadline(STOP_TIMEOUT_SECONDS)

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            self._received_bytes += len(data)
        super().data_received(data)
        # Most requests are complete now. They need no deadline.
        if self._in_body:
            self._set_deadline(self._body_timeout())
        elif self.cycle is None or self.cycle.response_complete:
            self._set_deadline(HEAD_TIMEOUT_SECONDS)
            # A single field that never ends is not counted by `on_header`.
            if self._received_bytes > MAX_HEAD_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        self._field_bytes = self._received_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._field_bytes += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._field_bytes += len(name) + len(value) + FIELD_OVERHEAD_BYTES
        super().on_header(name, value)
        self._check_head()

    def on_headers_complete(self) -> None:
        self._check_head()
        self._clear_deadline()
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._clear_deadline()
        self._in_body, self._received_bytes = False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        # The parser has stopped, for this reason or for another one.
        if self._head_is_too_large:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            super().send_400_response(msg)

    def _check_head(self) -> None:
        if self._field_bytes > MAX_HEAD_BYTES or len(self.headers) > MAX_HEADER_FIELDS:
            self._head_is_too_large = True
            raise HeadTooLarge

    def _body_timeout(self) -> float:
        """Return the seconds for the whole body; only files may be long."""
        if FILES_PATH not in self.url.partition(b"?")[0]:
            return BODY_TIMEOUT_SECONDS
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        seconds = BODY_TIMEOUT_SECONDS + int(length) / MIN_BYTES_PER_SECOND
        return min(seconds, MAX_BODY_TIMEOUT_SECONDS)

    def _set_deadline(self, seconds: float) -> None:
        """Set a deadline, unless there is one."""
        if self._deadline is None and not self.is_ending:
            self._deadline = self.loop.call_later(seconds, self._expire)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expire(self) -> None:
        self._deadline = None
        if self.is_ending:
            return
        if self.flow.read_paused:
            # The client cannot send: we do not read.
            self._set_deadline(BODY_TIMEOUT_SECONDS)
        elif self._is_idle():
            self.transport.close()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _is_idle(self) -> bool:
        """Whether the client has sent nothing of a request, or its response was begun."""
        return self.cycle.response_started if self._in_body else self._received_bytes == 0

    def _refuse(self, status: HTTPStatus) -> None:
        """Refuse the current request before the application answers, and close the connection."""
        self._clear_deadline()
        if self.is_ending:
            return
        if self._in_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = msgspec.json.encode({"title": status.phrase, "status": status.value})
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {errors.MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.linger()
