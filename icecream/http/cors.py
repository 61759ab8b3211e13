"""Access for pages of other origins: they may call the API, and read its header fields."""

from typing import cast

from litestar.types import ASGIApp
from starlette.middleware.cors import CORSMiddleware

ALLOWED_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
ALLOWED_HEADERS = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Last-Event-ID",
    "Prefer",
    "X-Request-Id",
)
# Header fields that scripts may read, in addition to the fields that are always readable.
EXPOSED_HEADERS = (
    "Allow",
    "As-Of",
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Link",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
    "X-Request-Id",
    "X-Total-Count",
)


def add_cors(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Wrap the application, so that pages of these origins may call it."""
    allowed = CORSMiddleware(
        app,  # type: ignore[arg-type]  # Starlette has its own types for this protocol
        allow_origins=origins,
        allow_methods=ALLOWED_METHODS,
        allow_headers=ALLOWED_HEADERS,
        expose_headers=EXPOSED_HEADERS,
    )
    return cast(ASGIApp, allowed)
