"""Forms with an action carry a key, so that a double click has one effect."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from litestar.datastructures import State
from msgspec import Struct

from icecream import errors
from icecream.idempotency import keys
from icecream.pages.access import Visitor
from icecream.tables import IdempotencyKey

# The hidden field of a form with an action, and the parameter of the page that shows its message.
KEY_FIELD = "key"
DONE_PARAMETER = "done"


class FormFields(Struct):
    """The fields of a form, as they were sent."""

    fields: dict[str, Any]


class Done(Struct):
    """What an action did, as a message, and the payments that workers must carry out next."""

    message: str
    payments: list[int] = []


def new_key() -> str:
    """Return a new key for a form."""
    return f"page-{secrets.token_urlsafe(16)}"


async def carry_out(
    work: Callable[[], Awaitable[tuple[str, list[int]]]],
    *,
    path: str,
    fields: Mapping[str, Any],
    visitor: Visitor,
    state: State,
) -> str:
    """Carry out a form once, notify the workers, and return the key of its message.

    Raises:
        errors.Refusal: a rule refuses the action; nothing has changed.
    """
    key = fields.get(KEY_FIELD)
    if not isinstance(key, str) or not key:
        raise errors.Forbidden("This form is too old. Open the page again.")

    async def run() -> Done:
        return Done(*await work())

    request = keys.request_key(
        key, user=visitor.user.id, method="POST", path=path, body=FormFields(dict(fields))
    )
    done, _ = await keys.run_once(request, run, Done)
    await state.notify_workers(done.payments)
    return key


async def read_message(visitor: Visitor, key: str | None) -> str:
    """Return the message of this user's action with a key; empty if there is none."""
    if not key or "\0" in key:
        return ""
    row = (
        await IdempotencyKey.select(IdempotencyKey.answer)
        .where(IdempotencyKey.user == visitor.user.id, IdempotencyKey.key == key)
        .first()
    )
    try:
        return msgspec.json.decode(row["answer"], type=Done).message if row else ""
    except msgspec.ValidationError:
        # A key of the API.
        return ""
