"""HEAD for every path with GET, and OPTIONS for all paths; Litestar supports neither."""

from collections.abc import Awaitable, Iterable

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import NotFoundException
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Message, Receive, Scope, Send
from litestar.utils import normalize_path

# The methods of a mount, which has its own routes.
MOUNT_METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")


def allow_header(methods: Iterable[str]) -> str:
    """Return the value of `Allow` for a path whose handlers accept these methods."""
    head = {"HEAD"} if "GET" in methods else set()
    return ", ".join(sorted({*methods, "OPTIONS"} | head))


class HeadAndOptions:
    """Wraps Litestar's application."""

    def __init__(self, app: Litestar) -> None:
        self.app = app
        self._methods_by_path: dict[str, set[str]] = {}
        for route in app.routes:
            methods = getattr(route, "methods", ())
            self._methods_by_path.setdefault(route.path_format, set()).update(methods)

    # Not a coroutine, which would add a cost to every request.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP:
            if scope["method"] == "HEAD":
                return self._head(scope, receive, send)
            if scope["method"] == "OPTIONS":
                return self._options(scope, receive, send)
        return self.app(scope, receive, send)

    async def _head(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Run GET and send only the header; so even a stream ends at once."""
        get: HTTPScope = {**scope, "method": "GET"}

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await self.app(get, receive, send_head)
        finally:
            if "route_handler" in get:
                # The log and the metrics use these.
                scope["route_handler"] = get["route_handler"]
                scope["path_template"] = get["path_template"]

    async def _options(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Answer without a token, because a browser sends OPTIONS before it sends a token."""
        path = scope["path"].removeprefix(scope["root_path"])
        try:
            _, handler, _, _, template = self.app.asgi_router.handle_routing(
                path=normalize_path(path), method="OPTIONS"
            )
        except NotFoundException:
            await self.app(scope, receive, send)
            return
        scope["route_handler"], scope["path_template"] = handler, template
        mounted = isinstance(handler, ASGIRouteHandler) and handler.is_mount
        value = allow_header(MOUNT_METHODS if mounted else self._methods_by_path[template])
        headers = [(b"allow", value.encode())]
        await send({"type": "http.response.start", "status": 204, "headers": headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
