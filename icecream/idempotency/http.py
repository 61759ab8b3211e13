"""Idempotency-Key over HTTP: an endpoint carries a request with a key out only once."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from msgspec import Struct

from icecream import fields
from icecream.http import bodies, middleware
from icecream.idempotency import keys

T = TypeVar("T")
REPLAY_HEADERS = {"Idempotent-Replayed": "true"}
NO_BODY = fields.Body()


def read_key(
    field: str | None, request: bodies.ApiRequest, body: Struct = NO_BODY
) -> keys.RequestKey | None:
    """Return the key of a request and its fingerprint, or None if it has no header field.

    Raises:
        errors.IdempotencyKeyInvalid: the field holds no valid key.
    """
    if field is None:
        return None
    path = middleware.public_path(request.scope)
    return keys.request_key(
        field, user=request.user.id, method=request.method, path=path, body=body
    )


def replay_headers(*, replayed: bool) -> dict[str, str]:
    """Return the header fields that mark a response as a replay."""
    return dict(REPLAY_HEADERS) if replayed else {}


async def answer_once(
    field: str | None,
    request: bodies.ApiRequest,
    work: Callable[[], Awaitable[T]],
    answer_type: type[T],
    *,
    body: Struct = NO_BODY,
    status: int = 200,
) -> tuple[T, dict[str, str]]:
    """Do some work in one transaction, or replay the answer if the request is repeated.

    Args:
        field: the request's Idempotency-Key.
        answer_type: the type of the answer, a struct that is stored as JSON.
        status: the HTTP status of the response.

    Returns:
        The answer, and the header fields that say whether it is a replay.

    Raises:
        errors.IdempotencyKeyInvalid: the field contains no valid key.
        errors.IdempotencyKeyReused: the key was used for another request.
    """
    answer, replayed = await keys.run_once(
        read_key(field, request, body), work, answer_type, status=status
    )
    return answer, replay_headers(replayed=replayed)
