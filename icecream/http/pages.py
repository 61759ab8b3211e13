"""The front page and the pages of the API; they load nothing from other hosts."""

from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import MediaType, Request, Response, Router, get
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import FromPath

from icecream import errors, settings
from icecream.http import middleware

STATIC_FOLDER = Path(__file__).parent / "static"
# Swagger UI and ReDoc, from a package that contains them for use without internet access.
_spec = find_spec("fastapi_offline")
VENDOR_FOLDER = Path(_spec.origin if _spec and _spec.origin else "").parent / "static"
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
# Swagger UI and ReDoc write styles into the page and use icons as data URLs. ReDoc searches in a
# worker that is created from a blob.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; worker-src blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Cached for a day, to save two megabytes; after an upgrade, no page is older than that.
CACHE_CONTROL = "max-age=86400"
PAGE_HEADERS = {"Content-Security-Policy": CSP, "Cache-Control": "no-cache"}
# ReDoc would load its vendor's logo from the vendor's host.
REDOC_LOGO = b"https://cdn.redoc.ly/redoc/logo-mini.svg"
ICON_URL = f"{settings.load().prefix}/assets/icon.svg".encode()


VENDOR_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js")
# The files that are served, by name.
ASSETS = {file.name: file for file in STATIC_FOLDER.iterdir() if file.suffix in MEDIA_TYPES}
ASSETS |= {name: VENDOR_FOLDER / name for name in VENDOR_FILES}


@cache
def read_asset(name: str) -> bytes:
    """Return a file; the large ones are only kept in memory by processes that serve them."""
    return ASSETS[name].read_bytes().replace(REDOC_LOGO, ICON_URL)


PAGES = {
    file.stem: middleware.add_prefix_to_links(file.read_text())
    for file in STATIC_FOLDER.glob("*.html")
}


class DocumentationPage(OpenAPIRenderPlugin):
    """One of our pages; its script fetches the API document."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(path=path)
        self.body = PAGES[name].encode()

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return self.body


SWAGGER, REDOC = DocumentationPage("swagger", "/"), DocumentationPage("redoc", "/redoc")


def _html_response(page: str) -> Response[str]:
    return Response(page, media_type=MediaType.HTML, headers=PAGE_HEADERS)


@get("/", sync_to_thread=False)
def front_page() -> Response[str]:
    """The links to the parts of the service."""
    return _html_response(
        PAGES["front"].replace("<!-- address -->", escape(settings.load().address))
    )


@get("/problems", sync_to_thread=False)
def problems_page() -> Response[str]:
    """The meaning of each kind of problem document; its `type` points here."""
    kinds = sorted(errors.Refusal.__subclasses__(), key=lambda kind: (kind.status, kind.code))
    rows = "".join(
        f'<tr id="{kind.code}"><td><code>{kind.code}</code></td><td>{kind.status}</td>'
        f"<td>{escape(kind.title())}.</td></tr>\n"
        for kind in kinds
    )
    return _html_response(PAGES["problems"].replace("<!-- rows -->", rows))


def _asset_response(name: str) -> Response[bytes]:
    return Response(
        read_asset(name),
        media_type=MEDIA_TYPES[ASSETS[name].suffix],
        headers={"Cache-Control": CACHE_CONTROL},
    )


@get("/assets/{name:str}", sync_to_thread=False)
def asset(name: FromPath[str]) -> Response[bytes]:
    """A script, a style sheet or a picture."""
    if name not in ASSETS:
        raise errors.NotFound
    return _asset_response(name)


@get("/favicon.ico", sync_to_thread=False)
def favicon() -> Response[bytes]:
    """The icon that browsers request for pages without one, such as JSON."""
    return _asset_response("icon.svg")


router = Router(
    "/",
    route_handlers=[front_page, problems_page, asset, favicon],
    include_in_schema=False,
    opt={"exclude_from_auth": True, "any_query": True},
)
