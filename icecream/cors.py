"""Pages of other origins may call the API, and read what its answers say in header fields."""

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
# What a script may read beside the fields that every script may read.
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
    """The application, for pages of these origins too."""
    allowed = CORSMiddleware(
        app,  # type: ignore[arg-type]  # Starlette has types of its own for the same protocol
        allow_origins=origins,
        allow_methods=METHODS,
        allow_headers=SENT,
        expose_headers=READ,
    )
    return cast(ASGIApp, allowed)
