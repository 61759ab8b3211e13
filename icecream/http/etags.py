"""Conditional requests (RFC 9110, 13.1): If-Match and If-None-Match."""

import re
from typing import Annotated

from litestar.params import HeaderParameter

from icecream import errors

_TAG = r'(?:W/)?"[!#-~\x80-\xff]*"'
_TAGS = re.compile(_TAG)
_FIELD = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
# Proxies change a tag when they compress an answer: nginx weakens it, Apache and Caddy add a
# suffix.
_COMPRESSED = re.compile(r'^W/|-(?:gzip|br|zstd|deflate)(?="$)')
# Documented, not checked by Litestar: the code below refuses with its own error messages.
_TOLD = {"pattern": r'^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$', "maxLength": 1000}

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="The ETag of what you saw: if it was edited since then, nothing is done.",
        schema_extra=_TOLD | {"examples": ['"3"']},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match",
        description="The ETag of what you have: 304 while that is what there is.",
        schema_extra=_TOLD | {"examples": ['"b5bb9d8014a0f9b1"']},
    ),
]


def require(field: str | None, tag: str) -> None:
    """Accept a request without `If-Match`, or with this tag, also if a proxy changed it.

    Raises:
        errors.PreconditionFailed: it names other tags.
        errors.ValidationFailed: it is malformed.
    """
    # Our tag counts edits and not bytes, so its weak form is equally good.
    if field is not None and field.strip() != "*" and tag not in _tags("If-Match", field):
        raise errors.PreconditionFailed(f"This is version {tag} now; look at it again.")


def unchanged(field: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` names this tag, also if a proxy changed it.

    Raises:
        errors.ValidationFailed: it is malformed.
    """
    if field is None or field.strip() == "*":
        return field is not None
    return tag in _tags("If-None-Match", field)


def _tags(name: str, field: str) -> list[str]:
    """Return the tags of a field in the form in which we sent them."""
    if not _FIELD.fullmatch(field.strip()):
        detail = f'{name} must be entity tags such as "3", in their quotes, or *.'
        raise errors.ValidationFailed(f"/{name}", "malformed", detail)
    return [_COMPRESSED.sub("", tag) for tag in _TAGS.findall(field)]
