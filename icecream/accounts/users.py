"""Accounts: creating, disabling and enabling them; passwords; admin sessions."""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Any

from icecream import change_history, database, errors, fields
from icecream.accounts import refresh_tokens, tokens
from icecream.runtime import passwords
from icecream.runtime.logs import security
from icecream.tables import SESSION_WRITE_INTERVAL, PasswordLink, Session, User

Username = Annotated[str, fields.one_line(100)]
Email = Annotated[str, fields.one_line(255)]
ADMINS_ONLY = "Only admins may change accounts of staff."
ROLE_FLAGS = ("admin", "superuser")
# An account with all of them is an active admin.
ADMIN_FLAGS = ("active", *ROLE_FLAGS)


async def find_session_user(session: str, *, is_use: bool = False) -> User | None:
    """Return the user of this admin session; after a use, its idle time begins again."""
    interval = SESSION_WRITE_INTERVAL if is_use else None
    user = await Session.get_user_id(session, interval) if session else None
    if user is None:
        return None
    return await User.objects().where(User.id == user, User.active.eq(True)).first()


async def create_user(
    name: str,
    password: str,
    *,
    email: str | None = None,
    staff: bool = False,
    admin: bool = False,
    by: int | None = None,
) -> User:
    """Create an account.

    Raises:
        ValueError: the name or the password is not allowed.
        errors.AccountExists: the name or the email is in use.
    """
    require_possible_name(name)
    values = {"username": name, "email": email or None, "active": True}
    roles = {"admin": staff or admin, "superuser": admin}
    return await insert_user(values | roles, password, by=by)


def require_possible_name(name: str) -> None:
    """Refuse the name of a new account that is too long, or not visible.

    Raises:
        ValueError: the name is not allowed.
    """
    if len(name) > 100 or not re.search(fields.LINE_PATTERN, name):
        raise ValueError("A name must have 1 to 100 characters, without control characters.")
    if not fields.is_visible(name):
        raise ValueError("A name must have a visible character.")


async def insert_user(values: dict[str, Any], password: str, *, by: int | None) -> User:
    """Store a new account with these valid values.

    Raises:
        ValueError: the password is too short, too long, or common.
        errors.AccountExists: the name or the email is in use.
    """
    hashed = await passwords.hash_password(password)
    (user,) = await insert_users([values], hashed, by=by)
    return user


async def insert_users(
    accounts: Sequence[dict[str, Any]], hashed: str, *, by: int | None
) -> list[User]:
    """Store new accounts with these valid values and one hash of a password, all or nothing.

    Raises:
        errors.AccountExists: a name or an email is in use.
    """

    async def insert() -> list[User]:
        users = [User(**values, password=hashed) for values in accounts]
        for user, values in zip(users, accounts, strict=True):
            await user.save()
            given = {name: value for name, value in values.items() if value not in (None, False)}
            await change_history.record_changes("user", user.id, {}, given, by=by)
        return users

    try:
        users = await database.transaction(insert)
    except database.CONSTRAINT_VIOLATIONS:
        raise errors.AccountExists() from None
    for user in users:
        security.log_event("account-created", user=user.id, by=by)
    return users


def may_manage(by: User, *, is_staff: bool) -> bool:
    """Return whether a user may change an account: staff those of shops, admins all."""
    return bool(by.superuser if is_staff else by.admin)


async def require_manager(user: int, by: User) -> None:
    """Require that `by` may change this account, in the transaction of the change.

    Raises:
        errors.NotFound: there is no such account.
        errors.Forbidden: it is an account of staff, and `by` is no admin.
    """
    row = await User.select(User.admin).where(User.id == user).first()
    if row is None:
        raise errors.NotFound
    if not may_manage(by, is_staff=row["admin"]):
        raise errors.Forbidden(ADMINS_ONLY)


async def find_user_id(name: str) -> int:
    """Return the id of the account with this name.

    Raises:
        errors.NotFound: there is no such account.
    """
    row = await User.select(User.id).where(User.username == name).first()
    if row is None:
        raise errors.NotFound(f"There is no account {name!r}.")
    user: int = row["id"]
    return user


async def set_password(user: int, password: str, *, by: int | None = None) -> None:
    """Change a password, and sign the user out everywhere.

    Raises:
        ValueError: the password is too short, too long, or common.
    """
    await edit_user(user, {}, by=by, password=password)


async def disable_user(user: int, *, by: int | None = None, also_last_admin: bool = False) -> None:
    """Disable an account, and sign it out everywhere.

    Raises:
        errors.LastAdmin: it is the last active admin, and `also_last_admin` does not allow it.
    """
    await edit_user(user, {"active": False}, by=by, also_last_admin=also_last_admin)


async def enable_user(user: int, *, by: int | None = None) -> None:
    """Let a disabled account sign in again."""
    await edit_user(user, {"active": True}, by=by)


async def edit_user(
    user: int,
    values: dict[str, Any],
    *,
    by: int | None,
    password: str | None = None,
    also_last_admin: bool = False,
    further: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Change an account, all or nothing; `further` changes come first, in the same transaction.

    A new password and disabling end all its tokens, sessions and password links; another role ends
    its password links, and without the staff role, its sessions end.

    Raises:
        errors.NotFound: there is no such account.
        errors.AccountExists: the name or the email is in use.
        errors.LastAdmin: no active admin would be left.
        ValueError: the password is too short, too long, or common.
    """
    hashed = await passwords.hash_password(password) if password else None

    changed: dict[str, Any] = {}

    async def change() -> None:
        nonlocal changed
        removes_admin = not all(values.get(flag, True) for flag in ADMIN_FLAGS)
        if removes_admin and not also_last_admin:
            # Before the row itself is locked: all edits lock the rows of admins in one order.
            await _require_another_admin(user)
        rows = await database.for_no_key_update(User.select().where(User.id == user))
        if not rows:
            raise errors.NotFound()
        if further is not None:
            await further()
        after = values | ({"password": hashed} if hashed else {})
        changed = {name: value for name, value in after.items() if rows[0][name] != value}
        if changed:
            await User.update(**changed).where(User.id == user)
            await change_history.record_changes("user", user, rows[0], changed, by=by)
        await _end_access(user, changed)

    try:
        await database.transaction(change)
    except database.CONSTRAINT_VIOLATIONS:
        raise errors.AccountExists() from None
    tokens.token_cache.forget(user)
    if changed:
        security.log_event("account-changed", user=user, by=by, fields=",".join(changed))


async def _end_access(user: int, changed: dict[str, Any]) -> None:
    """End what a change of an account must not leave valid."""
    is_locked_out = "password" in changed or not changed.get("active", True)
    if is_locked_out:
        await _end_sessions(user)
    elif not changed.get("admin", True):
        await Session.delete().where(Session.user_id == user)
    if is_locked_out or not changed.keys().isdisjoint(ROLE_FLAGS):
        # Staff who created a link for a shop must not get the account's new rights with it.
        await PasswordLink.delete().where(PasswordLink.user == user)


async def _require_another_admin(user: int) -> None:
    """Lock all active admins, in a transaction that takes this one's rights or disables it.

    Two admins that disable or demote each other at the same time wait for each other here.

    Raises:
        errors.LastAdmin: there is no other active admin.
    """
    admins = [getattr(User, flag).eq(True) for flag in ADMIN_FLAGS]
    rows = await database.for_no_key_update(User.select(User.id).where(*admins).order_by(User.id))
    if [row["id"] for row in rows] == [user]:
        raise errors.LastAdmin("This is the last active admin: create another one first.")


async def sign_out(user: int) -> None:
    """End all tokens and all admin sessions of a user."""
    await database.transaction(lambda: _end_sessions(user))
    security.log_event("signed-out-everywhere", user=user)
    # After the commit, so that the next check of a token finds that it has ended.
    tokens.token_cache.forget(user)


async def _end_sessions(user: int) -> None:
    await Session.delete().where(Session.user_id == user)
    await refresh_tokens.revoke_tokens(user)
