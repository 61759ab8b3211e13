"""Access for pages of other origins: they may call the API, and read its header fields."""

from typing import cast

from litestar.types import ASGIApp
from starlette.middleware.cors import CORSMiddleware

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
SENT = (
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
READ = (
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
)


def across_origins(app: ASGIApp, origins: tuple[str, ...]) -> ASGIApp:
    """Wrap the application, so that pages of these origins may call it."""
    allowed = CORSMiddleware(
        app,  # type: ignore[arg-type]  # Starlette has its own types for this protocol
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=SENT,
        expose_headers=READ,
    )
    return cast(ASGIApp, allowed)
