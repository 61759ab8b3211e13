"""Litestar's application, with a shorter way from a request to its route."""

from functools import lru_cache
from typing import Any, NamedTuple

from litestar import Litestar
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.middleware._internal.exceptions import ExceptionHandlerMiddleware
from litestar.types import ASGIApp, Receive, Send
from litestar.utils import normalize_path
from litestar.utils.scope.state import ScopeState

from icecream.runtime import optional_imports


class _Route(NamedTuple):
    """A found route: its application, and what Litestar keeps in the scope."""

    app: ASGIApp
    scope: dict[str, Any]
    exception_handlers: Any


class Application(Litestar):
    """Finds the route of a request in a cache, and passes the request on at once.

    Litestar does the same in three wrappers, which resolve the exception handlers of the route for
    each request, and normalize its path. It still does so for paths that have no route.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Litestar adds a plugin for each of them that is installed.
        with optional_imports.hidden("attr", "opentelemetry", "pydantic"):
            super().__init__(*args, **kwargs)
        self._find_route = lru_cache(maxsize=1000)(self._resolve_route)
        self._refusals = ExceptionHandlerMiddleware(self, debug=None)

    def _resolve_route(self, path: str, method: str) -> _Route:
        app, handler, rest, parameters, template = self.asgi_router.handle_routing(
            path=normalize_path(path), method=method
        )
        scope = {"path": rest, "path_params": parameters, "path_template": template}
        handlers = handler.resolve_exception_handlers()
        return _Route(app, scope | {"route_handler": handler}, handlers)

    # Not a coroutine, which would add a cost to every request.
    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """Serve a request, or the start and the end of the server."""
        if scope["type"] != ScopeType.HTTP:
            return super().__call__(scope, receive, send)
        path = scope["path"].removeprefix(scope["root_path"])
        try:
            route = self._find_route(path, scope["method"])
        except HTTPException:
            return super().__call__(scope, receive, send)
        return self._serve(route, scope, receive, send)

    async def _serve(self, route: _Route, scope: Any, receive: Receive, send: Send) -> None:
        scope["app"] = scope["litestar_app"] = self
        scope.update(route.scope)
        state = ScopeState.from_scope(scope)
        state.exception_handlers = route.exception_handlers
        try:
            await route.app(scope, receive, send)
        except Exception as error:
            # A middleware refused the request. Errors of handlers were answered already.
            if state.response_started:
                raise
            await self._refusals.handle_request_exception(
                litestar_app=self, scope=scope, receive=receive, send=send, exc=error
            )
