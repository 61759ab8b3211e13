"""The history of changes to flavors and accounts: who, when, and which field from what to what."""

from collections.abc import Mapping
from typing import Any, Literal

from icecream import database
from icecream.tables import Change

# These fields are named, but their values are never stored.
SECRET_FIELDS = frozenset({"password", "payment_method"})


def _as_text(field: str, value: object) -> str | None:
    if value is None or field in SECRET_FIELDS:
        return None
    if isinstance(value, list):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


async def record_changes(
    subject: Literal["flavor", "user"],
    row: int,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    by: int | None,
) -> None:
    """Record the fields that changed, in the transaction that changes them.

    Args:
        before: the values before; empty for a new row.
        after: the new values, of any number of fields.
        by: the user who changed them; None for the command line.
    """
    at = await database.now()
    changed = [name for name, value in after.items() if before.get(name) != value]
    rows = [
        Change(
            subject=subject,
            row=row,
            field=name,
            before=_as_text(name, before.get(name)),
            after=_as_text(name, after[name]),
            by=by,
            at=at,
        )
        for name in changed
    ]
    if rows:
        await Change.insert(*rows)
