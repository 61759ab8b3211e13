"""The front page and the pages of the API; they load nothing from other hosts."""

from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, Router, get
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from icecream import errors, settings
from icecream.http import middleware

OURS = Path(__file__).parent / "static"
# Swagger UI and ReDoc, from a package that contains them for use without the internet.
_spec = find_spec("fastapi_offline")
THEIRS = Path(_spec.origin if _spec and _spec.origin else "").parent / "static"
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Swagger UI and ReDoc write styles into the page and use icons as data URLs. ReDoc searches in a
# worker that is created from a blob.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Cached for a day, to save two megabytes; after an upgrade, no page is older than that.
CACHE = "max-age=86400"
HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
# ReDoc would load its vendor's logo from the vendor's host.
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
ICON = f"{settings.load().prefix}/assets/icon.svg".encode()


def _load() -> dict[str, tuple[bytes, str]]:
    """Return all assets that are served, by name, with their types."""
    files = [file for file in OURS.iterdir() if file.suffix in TYPES]
    files += [
        THEIRS / name for name in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
    ]
    return {
        file.name: (file.read_bytes().replace(REDOC_LOGO, ICON), TYPES[file.suffix])
        for file in files
    }


ASSETS = _load()
PAGES = {file.stem: middleware.beneath_prefix(file.read_text()) for file in OURS.glob("*.html")}


class Page(OpenAPIRenderPlugin):
    """One of our pages; its script fetches the API document."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(path=path)
        self.body = PAGES[name].encode()

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return self.body


SWAGGER, REDOC = Page("swagger", "/"), Page("redoc", "/redoc")


def _html(page: str) -> Response[str]:
    return Response(page, media_type=MediaType.HTML, headers=HEADERS)


@get("/", sync_to_thread=False)
def front() -> Response[str]:
    """The ways in."""
    return _html(PAGES["front"].replace("<!-- address -->", escape(settings.load().address)))


@get("/problems", sync_to_thread=False)
def problems() -> Response[str]:
    """What each kind of problem document means; its `type` points here."""
    kinds = sorted(errors.Refusal.__subclasses__(), key=lambda kind: (kind.status, kind.code))
    rows = "".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title())}.</td></tr>\n"
        for kind in kinds
    )
    return _html(PAGES["problems"].replace("<!-- rows -->", rows))


def _file(name: str) -> Response[bytes]:
    body, media_type = ASSETS[name]
    return Response(body, media_type=media_type, headers={"Cache-Control": CACHE})


@get("/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A script, a style sheet or a picture."""
    if name not in ASSETS:
        raise errors.NotFound
    return _file(name)


@get("/favicon.ico", sync_to_thread=False)
def favicon() -> Response[bytes]:
    """What browsers ask for beside whatever names no icon, such as JSON."""
    return _file("icon.svg")


router = Router(
    "/",
    route_handlers=[front, problems, asset, favicon],
    include_in_schema=False,
    opt={"exclude_from_auth": True, "any_query": True},
)
