"""The history of changes to flavors and accounts: who, when, and which field from what to what."""

from collections.abc import Mapping
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any, Literal

from msgspec import Struct

from icecream import database
from icecream.tables import Change

Subject = Literal["flavor", "user"]
# A page shows no more; the admin lists all changes.
MAX_SHOWN_CHANGES = 100
# These fields are named, but their values are never stored.
SECRET_FIELDS = frozenset({"password", "payment_method"})


def _as_text(field: str, value: object) -> str | None:
    if value is None or field in SECRET_FIELDS:
        return None
    if isinstance(value, list):
        return ", ".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


async def record_changes(
    subject: Subject,
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


class FieldChange(Struct, frozen=True):
    """A changed field; the values are None where there was none, and for secrets."""

    field: str
    before: str | None
    after: str | None
    at: datetime
    by: str | None

    @property
    def edit(self) -> tuple[datetime, str | None]:
        """What the changes of one edit have in common."""
        return self.at, self.by


class Edit(Struct, frozen=True):
    """The fields that a user changed at once; None did it on the command line."""

    at: datetime
    by: str | None
    changes: list[FieldChange]


async def load_edits(subject: Subject, row: int) -> list[Edit]:
    """Return the latest edits of a flavor or an account, the newest first."""
    columns = (Change.field, Change.before, Change.after, Change.at)
    rows = (
        await Change.select(*columns, Change.by.username.as_alias("by"))
        .where(Change.subject == subject, Change.row == row)
        .order_by(Change.id, ascending=False)
        .limit(MAX_SHOWN_CHANGES)
    )
    changes = [FieldChange(**one) for one in rows]
    return [
        Edit(at, by, sorted(group, key=attrgetter("field")))
        for (at, by), group in groupby(changes, key=attrgetter("edit"))
    ]
