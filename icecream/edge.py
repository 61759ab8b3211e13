"""The one wrapper round every request: its id, the security headers, and the line in the log."""

import asyncio
import logging
import re
import secrets
import time
from contextvars import ContextVar

import msgspec
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from icecream import errors, settings

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
    return secrets.token_hex(8)


async def _refuse(scope: HTTPScope, send: Send) -> None:
    refusal = errors.Unavailable("The service is stopping.")
    document = refusal.document(
        address=settings.load().address, instance=scope["path"], request_id=request_id.get()
    )
    fields = {"Content-Type": "application/problem+json"} | refusal.headers
    headers = [(name.encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    body = msgspec.json.encode(document)
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Edge:
    """Stands round the whole application, so that it holds for refusals and errors too."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self.app = app
        self.always = SECURITY | ({HSTS[0]: HSTS[1]} if https else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            return
        name, began, status = _taken_or_made(scope), time.perf_counter(), 0
        request_id.set(name)

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableScopeHeaders.from_message(message)
                headers["X-Request-Id"] = name
                for field, value in self.always.items():
                    headers.setdefault(field, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server is stopping, and what was under way may have been committed or not.
            if not status:
                await _refuse(scope, send_with_headers)
            raise
        finally:
            spent = (time.perf_counter() - began) * 1000
            # As it was sent: decoded, a path could bring a line break into the log.
            path = scope["raw_path"].decode("latin-1")
            log.info("%s %s %s %.1f ms", scope["method"], path, status, spent)
