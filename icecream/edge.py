"""The one wrapper round every request: its id, the security headers, and the line in the log."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from icecream import counters, errors, settings

log = logging.getLogger("icecream.access")
request_id: ContextVar[str] = ContextVar("request_id", default="-")
# Taken over only when it cannot break a log line: visible ASCII, and not too long.
_TAKEN = re.compile(rb"[!-~]{1,128}")
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Pages bring a wider one; data needs nothing at all.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# In several lines they mean the same as in one, with commas (RFC 9110, 5.3); Litestar would take
# the last and overlook the others.
JOINED = frozenset({b"if-match", b"if-none-match", b"idempotency-key", b"prefer"})
HSTS = ("Strict-Transport-Security", "max-age=31536000")


class RequestIds(logging.Filter):
    """Gives every log line the id of the request it belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get()
        return True


def _taken_or_made(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _TAKEN.fullmatch(value):
            return value.decode("ascii")
    # A name, not a secret: the system's randomness would cost a call into the kernel.
    return f"{random.getrandbits(64):016x}"


def _join(scope: Scope) -> None:
    values: dict[bytes, list[bytes]] = {}
    for name, value in scope["headers"]:
        if name in JOINED:
            values.setdefault(name, []).append(value)
    if any(len(lines) > 1 for lines in values.values()):
        others = [field for field in scope["headers"] if field[0] not in JOINED]
        scope["headers"] = others + [(name, b", ".join(values[name])) for name in values]


def _route(scope: HTTPScope) -> str:
    """The template of the path, so that a million orders are one route; never the path itself."""
    handler = scope.get("route_handler")
    if handler is None:
        return "unknown"
    # Of whatever is beneath a mount, Litestar tells the template of the root.
    if isinstance(handler, ASGIRouteHandler) and handler.is_mount:
        return min(handler.paths)
    return scope["path_template"]


async def _refuse(scope: HTTPScope, send: Send) -> None:
    refusal = errors.Unavailable("The service is stopping.")
    document = refusal.document(
        address=settings.load().address, instance=scope["path"], request_id=request_id.get()
    )
    headers = encoded({"Content-Type": "application/problem+json"} | refusal.headers)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    body = msgspec.json.encode(document)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def encoded(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header fields as ASGI has them."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]


def add(message: Message, fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Add header fields to the start of an answer, those that it has not got already."""
    assert message["type"] == "http.response.start"
    headers = list(message["headers"])
    there = {name for name, _ in headers}
    message["headers"] = headers + [field for field in fields if field[0] not in there]


class AccessLog:
    """A line for each request, and what is counted of it.

    Those that end in one turn of the event loop are written at once, and counted at once: alone,
    each would find what it counts with gone from the processor's cache, which costs five times as
    much.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._counted: list[tuple[str, str, int, float]] = []

    def add(self, line: str, counted: tuple[str, str, int, float]) -> None:
        """Write it in a moment, with its time and the request's id."""
        if not self._lines:
            asyncio.get_running_loop().call_soon(self._write)
        self._counted.append(counted)
        when = datetime.now(UTC).isoformat(" ", "milliseconds")
        self._lines.append(f"{when} INFO [{request_id.get()}] {log.name}: {line}")

    def _write(self) -> None:
        log.info("\n".join(self._lines))
        self._lines.clear()
        for counted in self._counted:
            counters.answered(*counted)
        self._counted.clear()


class Edge:
    """Stands round the whole application, so that it holds for refusals and errors too."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self.access_log = AccessLog()
        self.always = encoded(SECURITY | ({HSTS[0]: HSTS[1]} if https else {}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        name, began, status = _taken_or_made(scope), time.perf_counter(), 0
        _join(scope)
        request_id.set(name)
        always = [(b"x-request-id", name.encode()), *self.always]

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                add(message, always)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server is stopping, and what was under way may have been committed or not.
            if not status:
                await _refuse(scope, send_with_headers)
            raise
        finally:
            spent = time.perf_counter() - began
            # As it was sent: decoded, a path could bring a line break into the log.
            path, method = scope["raw_path"].decode("latin-1"), scope["method"]
            line = f"{method} {path} {status} {spent * 1000:.1f} ms"
            self.access_log.add(line, (method, _route(scope), status, spent))
