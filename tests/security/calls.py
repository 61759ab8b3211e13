"""Calls of the ASGI application whose endless responses end after their first message."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

import msgspec


class Response(NamedTuple):
    """A response; only its beginning if it is endless."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def call(
    app: Any,
    method: str,
    path: str,
    headers: Mapping[str, str] = {},
    *,
    body: bytes = b"",
    query: bytes = b"",
) -> Response:
    """Send one request to the application."""
    fields = {"host": "test"} | {name.lower(): value for name, value in headers.items()}
    if body:
        fields["content-length"] = str(len(body))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query,
        "root_path": "",
        "headers": [
            (name.encode(), value.encode("utf-8", "surrogateescape"))
            for name, value in fields.items()
        ],
        "client": ("127.0.0.1", 1),
        "server": ("test", 80),
        "state": {},
    }
    requests = [{"type": "http.request", "body": body}]
    started: dict[str, Any] = {}
    received = bytearray()
    endless, complete = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await complete.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
            if dict(message["headers"]).get(b"content-type", b"").startswith(b"text/event-stream"):
                endless.set()
        else:
            received.extend(message.get("body", b""))
            if not message.get("more_body"):
                complete.set()

    running = asyncio.ensure_future(app(scope, receive, send))
    waiting = asyncio.ensure_future(endless.wait())
    done, others = await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for one in others:
        one.cancel()
        with suppress(asyncio.CancelledError):
            await one
    if running in done and started.get("status", 500) < 500:
        running.result()
    decoded = {name.decode().lower(): value.decode("latin-1") for name, value in started["headers"]}
    return Response(started["status"], decoded, bytes(received))
