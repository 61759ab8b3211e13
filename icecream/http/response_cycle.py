"""A request on a connection and its response, which is written with few system calls."""

from functools import lru_cache
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

# The header fields that decide where a response ends.
FRAMING_FIELDS = frozenset({b"content-length", b"transfer-encoding", b"connection"})
STATUSES_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


# Most fields of our responses are always the same.
@lru_cache(maxsize=1000)
def _encode_field(name: bytes, value: bytes) -> bytes:
    """Return the line of a header field.

    Raises:
        RuntimeError: it would not be one line, or no valid field.
    """
    if HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        raise RuntimeError(f"Invalid HTTP header field: {name!r}.")
    return name.lower() + b": " + value + b"\r\n"


class ResponseCycle(RequestResponseCycle):
    """A request and its response: the head is sent together with the first part of the body.

    uvicorn sends them with two system calls, and each of them costs as much as the routing of a
    request. ASGI allows to wait for the body.
    """

    _head: bytes = b""
    # HTTP/1.0 has no chunks: a body of unknown length ends with the connection.
    _ends_with_connection = False

    async def send(self, message: Any) -> None:
        """Send a message of the application, after a slow client has read enough.

        Raises:
            RuntimeError: the application broke a rule of ASGI or HTTP.
        """
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        expected = "http.response.body" if self.response_started else "http.response.start"
        if message["type"] != expected or self.response_complete:
            raise RuntimeError(f"Unexpected ASGI message: {message['type']}.")
        if self.response_started:
            self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            self._start_response(message["status"], message.get("headers", ()))

    def _start_response(self, status: int, fields: Any) -> None:
        self.response_started = True
        self.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        has_connection_field = False
        for name, value in (*self.default_headers, *fields):
            lines.append(_encode_field(name, value))
            if (framing := name.lower()) not in FRAMING_FIELDS:
                continue
            if framing == b"content-length":
                self.expected_content_length, self.chunked_encoding = int(value), False
            elif framing == b"transfer-encoding":
                self.chunked_encoding = value.lower() == b"chunked"
            elif b"close" in value.lower():
                self.keep_alive, has_connection_field = False, True
        if not self.keep_alive and not has_connection_field:
            lines.append(b"connection: close\r\n")
        if (
            self.chunked_encoding is None
            and self.scope["method"] != "HEAD"
            and status not in STATUSES_WITHOUT_BODY
        ):
            self._ends_with_connection = self.scope["http_version"] == "1.0"
            self.chunked_encoding = not self._ends_with_connection
            if self.chunked_encoding:
                lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        self._head = b"".join(lines)

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        if self.scope["method"] == "HEAD":
            self.expected_content_length, body = 0, b""
        elif self.chunked_encoding:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            if is_last:
                body += b"0\r\n\r\n"
        elif not self._ends_with_connection:
            self.expected_content_length -= len(body)
            if self.expected_content_length < 0:
                raise RuntimeError("Response content longer than Content-Length")
        if is_last and self.expected_content_length:
            raise RuntimeError("Response content shorter than Content-Length")
        if written := self._head + body:
            self.transport.write(written)
        self._head = b""
        if is_last:
            self.response_complete = True
            self.message_event.set()
            if not self.keep_alive:
                self.transport.close()
            self.on_response()
