"""The authorization matrix (`matrix.txt`), and all routes of the application and its admin."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from starlette.routing import Mount

from icecream import app
from icecream.admin import site
from tests.admin.test_admin import READ_ONLY
from tests.conftest import ignore_notification

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Litestar's and Starlette's parameters, such as `{order:int}`.
_PARAMETER = re.compile(r"\{(\w+):\w+\}")
_READ_ONLY_TABLE = re.compile(rf"^(/admin/api/tables)/(?:{'|'.join(READ_ONLY)})/")


class Line(NamedTuple):
    """The statuses of one route, by caller; None where the path contains no customer's object."""

    method: str
    path: str
    anonymous: int
    disabled: int
    customer: int
    other: int | None
    staff: int
    admin: int
    missing: int | None
    body: str

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def _parse(line: str) -> Line:
    method, path, *statuses, rest = line.split(maxsplit=8)
    anonymous, disabled, customer, other, staff, admin = map(_status, statuses)
    missing, _, body = rest.partition(" ")
    return Line(
        method,
        path,
        anonymous or 0,
        disabled or 0,
        customer or 0,
        other,
        staff or 0,
        admin or 0,
        _status(missing),
        body.strip(),
    )


def _status(word: str) -> int | None:
    return None if word == "-" else int(word)


def read_lines() -> list[Line]:
    text = (Path(__file__).parent / "matrix.txt").read_text()
    return [_parse(line) for line in text.splitlines() if line and not line.startswith("#")]


def find_routes() -> set[str]:
    """Return the method and the path of every route, as in the matrix."""
    return {*_application_routes(), *_admin_routes()}


def _application_routes() -> Iterator[str]:
    for route in app.litestar().routes:
        for handler in getattr(route, "route_handlers", []):
            for method in handler.http_methods & set(METHODS):
                yield f"{method} {_without_types(route.path)}"


def _admin_routes() -> Iterator[str]:
    piccolo = site._build("test", https=False, notify=ignore_notification)
    for path, endpoint, methods in _starlette_routes(piccolo, "/admin"):
        generic = _READ_ONLY_TABLE.sub(r"\1/{table}/", _without_types(path))
        for method in _methods(endpoint, methods):
            yield f"{method} {generic}"


def _without_types(path: str) -> str:
    return _PARAMETER.sub(r"{\1}", path)


def _methods(endpoint: Any, methods: set[str] | None) -> set[str]:
    """Return the methods of a route; a class has a function for each, a static file is read."""
    if methods is not None:
        return methods & set(METHODS)
    found = {method for method in METHODS if callable(getattr(endpoint, method.lower(), None))}
    return found or {"GET"}


def _starlette_routes(site: Any, prefix: str) -> Iterator[tuple[str, Any, set[str] | None]]:
    """Yield the path, the endpoint and the methods of each route, also those of mounted sites."""
    for route in site.routes:
        inner = getattr(route, "endpoint", None) or route.app
        # Piccolo's middleware keeps what it protects in such an attribute.
        while not getattr(inner, "routes", None) and (wrapped := getattr(inner, "app", None)):
            inner = wrapped
        inner = getattr(inner, "asgi_app", inner)
        path = prefix + route.path
        if getattr(inner, "routes", None):
            yield from _starlette_routes(inner, path)
        elif not isinstance(route, Mount):
            yield path, inner, getattr(route, "methods", None)
        else:
            # Files have any path below the mount; an endpoint has its own.
            yield f"{path}/" if isinstance(inner, type) else f"{path}/{{path}}", inner, None
