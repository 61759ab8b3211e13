"""Conditional requests (RFC 9110, 13.1): If-Match and If-None-Match."""

import re
from typing import Annotated

from litestar.params import HeaderParameter

from icecream import errors

_TAG_PATTERN = r'(?:W/)?"[!#-~\x80-\xff]*"'
_FIND_TAGS = re.compile(_TAG_PATTERN)
_FIELD_PATTERN = re.compile(rf"{_TAG_PATTERN}(?:[ \t]*,[ \t]*{_TAG_PATTERN})*")
# Proxies change a tag when they compress an answer: nginx weakens it, Apache and Caddy add a
# suffix.
_COMPRESSION_MARK = re.compile(r'^W/|-(?:gzip|br|zstd|deflate)(?="$)')
# Documented, not checked by Litestar: the code below refuses with its own error messages.
_HEADER_SCHEMA = {
    "pattern": r'^(\*|(W/)?"[!#-~]*"([ \t]*,[ \t]*(W/)?"[!#-~]*")*)$',
    "maxLength": 1000,
}

IfMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-Match",
        description="The ETag of the version that you edit; 412 if there is a newer one.",
        schema_extra=_HEADER_SCHEMA | {"examples": ['"3"']},
    ),
]
IfNoneMatch = Annotated[
    str | None,
    HeaderParameter(
        name="If-None-Match",
        description="The ETag of your copy; 304 if it is current.",
        schema_extra=_HEADER_SCHEMA | {"examples": ['"b5bb9d8014a0f9b1"']},
    ),
]


def require_match(field: str | None, tag: str) -> None:
    """Accept a request without `If-Match`, or with this tag, also if a proxy changed it.

    Raises:
        errors.PreconditionFailed: it names other tags.
        errors.ValidationFailed: it is malformed.
    """
    # Our tag counts edits and not bytes, so its weak form is equally good.
    if field is not None and field.strip() != "*" and tag not in _parse_tags("If-Match", field):
        raise errors.PreconditionFailed(f"The current version is {tag}; load it again.")


def is_unchanged(field: str | None, tag: str) -> bool:
    """Return whether `If-None-Match` names this tag, also if a proxy changed it.

    Raises:
        errors.ValidationFailed: it is malformed.
    """
    if field is None:
        return False
    if field.strip() == "*":
        return True
    return tag in _parse_tags("If-None-Match", field)


def _parse_tags(name: str, field: str) -> list[str]:
    """Return the tags of a field in the form in which we sent them."""
    if not _FIELD_PATTERN.fullmatch(field.strip()):
        detail = f'{name} must be entity tags in quotes, such as "3", or *.'
        raise errors.ValidationFailed(f"/{name}", "malformed", detail)
    return [_COMPRESSION_MARK.sub("", tag) for tag in _FIND_TAGS.findall(field)]
