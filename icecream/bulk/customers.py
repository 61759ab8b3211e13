"""Accounts: a row states the values of an account, which its name finds.

Passwords, payment methods and the rights of staff are never exported, and a new account is always
one of a shop. Its user sets a password with a link, before the first sign-in.
"""

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from icecream import constraints, database, errors, fields
from icecream.accounts import users
from icecream.bulk import kinds
from icecream.runtime import passwords
from icecream.tables import User

_FIELDS = ("username", "email", "active")
_DEFAULTS = {"email": None, "active": True, "admin": False, "superuser": False}
# More accounts in one transaction would let others wait for longer.
ACCOUNTS_AT_ONCE = 100


class ImportedCustomer(Struct, kw_only=True, forbid_unknown_fields=True):
    """An account; members that are absent stay as they are."""

    username: users.Username
    email: users.Email | UnsetType | None = UNSET
    active: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        if not fields.is_visible(self.username):
            raise constraints.InvalidValue("username", "must have a visible character")


class _Account(Struct, frozen=True):
    id: int
    username: str
    email: str | None
    active: bool
    admin: bool


async def _apply(
    rows: Sequence[ImportedCustomer], by: User | None, *, dry_run: bool
) -> Sequence[kinds.RowOutcome | Exception]:
    """Store the new accounts together, and then change the others, each in its own transaction.

    A dry run is no transaction that is rolled back: no security event may be about it.
    """
    by_id = by.id if by else None
    found = await _find({row.username for row in rows}, {row.email for row in rows if row.email})
    by_name = {account.username: account for account in found}
    owners = {account.email: account.username for account in found}
    outcomes: dict[int, kinds.RowOutcome | Exception] = {}
    new: dict[int, dict[str, Any]] = {}
    for n, row in enumerate(rows):
        if row.email and owners.get(row.email, row.username) != row.username:
            detail = "Another account has this email."
            outcomes[n] = errors.ValidationFailed("/email", "taken", detail)
        elif row.username not in by_name:
            new[n] = _DEFAULTS | kinds.given(row)
    if dry_run:
        outcomes |= {n: kinds.RowOutcome("created") for n in new}
    elif new:
        users_ = await users.insert_users([*new.values()], passwords.UNMATCHABLE_HASH, by=by_id)
        outcomes |= {
            n: kinds.RowOutcome("created", user.id) for n, user in zip(new, users_, strict=True)
        }
    for n, row in enumerate(rows):
        if n not in outcomes:
            try:
                outcomes[n] = await _edit(by_name[row.username], row, by, dry_run=dry_run)
            except errors.Refusal as refusal:
                outcomes[n] = refusal
    return [outcomes[n] for n in range(len(rows))]


async def _edit(
    account: _Account, row: ImportedCustomer, by: User | None, *, dry_run: bool
) -> kinds.RowOutcome:
    changed = {
        name: one
        for name, one in kinds.given(row, "username").items()
        if getattr(account, name) != one
    }
    if not changed:
        return kinds.RowOutcome("unchanged", account.id)
    if by is not None and not users.may_manage(by, is_staff=account.admin):
        raise errors.Forbidden(users.ADMINS_ONLY)
    if not dry_run:
        check = partial(users.require_manager, account.id, by) if by else None
        await users.edit_user(account.id, changed, by=by.id if by else None, further=check)
    return kinds.RowOutcome("updated", account.id)


async def _find(names: Collection[str], emails: Collection[str]) -> list[_Account]:
    """Return the accounts with one of these names or emails."""
    condition: Any = database.is_any(User.username, sorted(names))
    if emails:
        condition = condition | database.is_any(User.email, sorted(emails))
    rows = await User.select(*database.columns_of(User, _Account)).where(condition)
    return [_Account(**row) for row in rows]


async def _read(after: int) -> list[tuple[int, kinds.Record]]:
    columns: list[Any] = [User._meta.get_column_by_name(name) for name in _FIELDS]
    rows = await kinds.select_page(User.select(User.id, *columns), after)
    return [(row.pop("id"), row) for row in rows]


CUSTOMERS = kinds.Kind(
    name="customers",
    row=ImportedCustomer,
    columns=_FIELDS,
    required=("username",),
    read=_read,
    apply=_apply,
    rows_at_once=ACCOUNTS_AT_ONCE,
    unique=("username", "email"),
)
