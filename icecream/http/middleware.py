"""The wrapper around every request: request id, security headers, and the access log line."""

import asyncio
import logging
import random
import re
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from icecream import errors, settings
from icecream.runtime import instrumentation, logs
from icecream.runtime.logs import redact, request_id

log = logging.getLogger("icecream.access")
# A client's request id is logged and returned. No token and no key of a provider has this form.
_REQUEST_ID_PATTERN = re.compile(rb"[A-Za-z0-9-]{1,64}")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Pages set a wider policy; data needs nothing.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
# Several lines of these headers mean the same as one line with commas (RFC 9110, 5.3). Litestar
# would use the last line and ignore the others.
JOINED_HEADERS = frozenset({b"if-match", b"if-none-match", b"idempotency-key", b"prefer"})
UNAVAILABLE_STATUS = errors.Unavailable.status
# The route of requests whose path is not one of ours.
UNKNOWN_ROUTE = "unknown"
# An empty Host is allowed (RFC 9110, 7.2); anything else is a name or an address (RFC 3986, 3.2.2).
_HOST_PATTERN = re.compile(
    rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?"
)
MAX_PORT = 65_535
# In the state of a request: the header fields that its response gets.
RESPONSE_HEADERS = "icecream_response_headers"
# These characters are not encoded in a path (RFC 3986, 3.3), besides letters, digits and -._~
PATH_CHARACTERS = "/!$&'()*+,;=:@"
_encode_json = msgspec.json.Encoder().encode
HSTS_HEADER = ("Strict-Transport-Security", "max-age=31536000")


def _choose_request_id(sent: bytes | None) -> str:
    if sent is not None and _REQUEST_ID_PATTERN.fullmatch(sent):
        return sent.decode("ascii")
    # An id, not a secret: the system's random source would cost a system call.
    return f"{random.getrandbits(64):016x}"


def _join_headers(scope: Scope) -> None:
    joinable = [field for field in scope["headers"] if field[0] in JOINED_HEADERS]
    names = dict(joinable)
    if len(joinable) > len(names):
        others = [field for field in scope["headers"] if field[0] not in JOINED_HEADERS]
        joined = [(name, b", ".join(v for n, v in joinable if n == name)) for name in names]
        scope["headers"] = others + joined


def _route(scope: HTTPScope) -> str:
    """Return the path template, so that a million orders are one route; never the path itself."""
    handler = scope.get("route_handler")
    if handler is None:
        return UNKNOWN_ROUTE
    # For any path below a mount, Litestar returns the template of the mount's root.
    if isinstance(handler, ASGIRouteHandler) and handler.is_mount:
        return min(handler.paths)
    return scope["path_template"]


def _has_several_hosts(scope: Scope) -> bool:
    return sum(name == b"host" for name, _ in scope["headers"]) > 1


@lru_cache(maxsize=100)
def _is_valid_host(host: bytes) -> bool:
    match = _HOST_PATTERN.fullmatch(host)
    return match is not None and int(match["port"] or 0) <= MAX_PORT


def _is_unusual(raw_path: bytes) -> bool:
    """Return whether a path has another, usual spelling.

    A proxy that protects some paths would not recognize the other spellings.
    """
    if b"//" in raw_path:
        return True
    return b"%" in raw_path and quote_from_bytes(
        unquote_to_bytes(raw_path), PATH_CHARACTERS
    ) != raw_path.decode("latin-1")


async def _send_refusal(scope: HTTPScope, send: Send, refusal: errors.Refusal) -> None:
    document = refusal.document(
        address=settings.load().address, instance=public_path(scope), request_id=request_id.get()
    )
    headers = encode_headers({"Content-Type": errors.MEDIA_TYPE} | refusal.headers)
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    body = msgspec.json.encode(document)
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _add_prefix(scope: HTTPScope, prefix: str) -> None:
    """Make the path begin with the prefix, whether or not the proxy has removed it."""
    path = scope["path"]
    if path != prefix and not path.startswith(f"{prefix}/"):
        scope["path"], scope["raw_path"] = prefix + path, prefix.encode() + scope["raw_path"]
    scope["root_path"] = prefix


def public_path(scope: Scope) -> str:
    """Return the path as clients see it; Litestar removes the prefix from paths of its routes."""
    path, prefix = scope["path"], scope["root_path"]
    return path if path.startswith(prefix) else prefix + path


def add_prefix_to_links(page: str) -> str:
    """Return the page with the links and assets of the public URL."""
    return page.replace('="/', f'="{settings.load().prefix}/')


def encode_headers(fields: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return header fields in the format of ASGI."""
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in fields.items()]


def add_response_headers(scope: Scope, fields: Mapping[str, str]) -> None:
    """Add header fields to the response of a request, unless the response has them itself."""
    scope["state"].setdefault(RESPONSE_HEADERS, []).extend(encode_headers(fields))


def _add_missing_headers(message: Message, fields: Iterable[tuple[bytes, bytes]]) -> None:
    """Add those header fields to the start of a response that it does not have yet."""
    assert message["type"] == "http.response.start"
    headers = list(message["headers"])
    present = {name for name, _ in headers}
    message["headers"] = headers + [field for field in fields if field[0] not in present]


class _AccessLogLine(msgspec.Struct):
    """A line of the access log as JSON, with the field names of all log lines (see logs.lines)."""

    timestamp: str
    request_id: str
    method: str
    path: str
    status: int
    milliseconds: float
    level: str = "info"
    logger: str = log.name
    event: str = "request"


class AccessLog:
    """Writes a log line for each request, and updates the counters.

    The requests that end in the same turn of the event loop are written and counted together:
    counting them one by one costs five times as much, because the counters' data would be evicted
    from the processor's cache. One 503 response per minute gets a line, and another line reports
    the number of the others: an outage must not fill the log.

    Args:
        as_json: write JSON instead of text.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._format = _as_json if as_json else _as_text
        self._logged: list[tuple[str, str, str, int, float]] = []
        self._counted: list[tuple[str, str, int, float]] = []
        self._unavailable = 0
        self._minute: asyncio.TimerHandle | None = None

    def add(self, method: str, path: str, route: str, status: int, seconds: float) -> None:
        """Schedule the log line, with the current request id."""
        if not self._counted:
            asyncio.get_running_loop().call_soon(self._write)
        self._counted.append((method, route, status, seconds))
        if status != UNAVAILABLE_STATUS or self._is_first_unavailable():
            # Only a path that exists contains no secrets. To search every path would be too slow.
            exists = route != UNKNOWN_ROUTE and status < HTTPStatus.BAD_REQUEST
            shown = path if exists else redact(path)
            self._logged.append((request_id.get(), method, shown, status, seconds * 1000))

    def close(self) -> None:
        """Report the number of 503 responses of the current minute."""
        if self._minute is not None:
            self._minute.cancel()
            self._log_unavailable()

    def _write(self) -> None:
        if self._logged:
            now = logs.timestamp()
            log.info("\n".join(self._format(now, *fields) for fields in self._logged))
            self._logged.clear()
        for counted in self._counted:
            instrumentation.count_request(*counted)
        self._counted.clear()

    def _is_first_unavailable(self) -> bool:
        if self._minute is not None:
            self._unavailable += 1
            return False
        loop = asyncio.get_running_loop()
        self._minute = loop.call_later(logs.REPEAT_INTERVAL_SECONDS, self._log_unavailable)
        return True

    def _log_unavailable(self) -> None:
        count, self._unavailable, self._minute = self._unavailable, 0, None
        if count:
            logging.getLogger(__name__).warning("%d more requests got status 503.", count)


def _as_text(now: str, request: str, method: str, path: str, status: int, took: float) -> str:
    return f"{now} INFO [{request}] {log.name}: {method} {path} {status} {took:.1f} ms"


def _as_json(now: str, request: str, method: str, path: str, status: int, took: float) -> str:
    line = _AccessLogLine(now, request, method, path, status, round(took, 1))
    return _encode_json(line).decode()


class OuterMiddleware:
    """Wraps the whole application, so that it also applies to refusals and errors."""

    def __init__(self, app: ASGIApp, *, https: bool, prefix: str = "") -> None:
        self.app, self.prefix = app, prefix
        self.access_log = AccessLog(as_json=settings.load().log_format == "json")
        self.common_headers = encode_headers(
            SECURITY_HEADERS | ({HSTS_HEADER[0]: HSTS_HEADER[1]} if https else {})
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self.app(scope, receive, send)
            # The lifespan scope has ended, and with it the server.
            self.access_log.close()
            return
        started_at, status = time.perf_counter(), 0
        raw_path = scope["raw_path"]
        lines = list(scope["headers"])
        fields = dict(lines)
        host = fields.get(b"host")
        # HTTP/1.1 requires the field; it may be empty (RFC 9112, 3.2).
        is_host_valid = scope["http_version"] == "1.0" if host is None else _is_valid_host(host)
        if len(fields) < len(lines):
            is_host_valid = is_host_valid and not _has_several_hosts(scope)
            _join_headers(scope)
        if self.prefix:
            _add_prefix(scope, self.prefix)
        name = _choose_request_id(fields.get(b"x-request-id"))
        request_id.set(name)
        headers = [(b"x-request-id", name.encode()), *self.common_headers]
        scope.setdefault("state", {})[RESPONSE_HEADERS] = headers

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_missing_headers(message, headers)
            await send(message)

        try:
            if not is_host_valid:
                await _send_refusal(scope, send_with_headers, errors.HostInvalid())
            elif _is_unusual(raw_path):
                await _send_refusal(scope, send_with_headers, errors.NotFound())
            else:
                await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            # The server is stopping. The work of this request may or may not have been committed.
            if not status:
                refusal = errors.Unavailable("The service is stopping.")
                await _send_refusal(scope, send_with_headers, refusal)
            raise
        finally:
            seconds = time.perf_counter() - started_at
            # The raw path: decoded, a path could bring a line break into the log.
            path, method = raw_path.decode("latin-1"), scope["method"]
            self.access_log.add(method, path, _route(scope), status, seconds)
