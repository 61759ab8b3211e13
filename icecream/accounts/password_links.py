"""Links with which a user sets a new password: staff hand them out, so no mail server is needed."""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from icecream import database, errors, settings
from icecream.accounts import users
from icecream.runtime import passwords
from icecream.runtime.logs import security
from icecream.tables import PasswordLink, User

# A shop that gets the link on a Friday evening can still use it on Sunday.
LIFETIME = timedelta(hours=48)
PATH = "/set-password/"
ADMINS_ONLY = "Only admins may create password links for staff."
DISABLED = "This account is disabled: enable it first."


class NewLink(Struct, frozen=True):
    """A new link. Its address cannot be read again: only a hash of its token is stored."""

    address: str
    expires_at: datetime


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def _require_permission(user: User, by: User | None) -> None:
    """Require that `by` may set this user's password, which gives all rights of the account.

    Raises:
        errors.Forbidden: `by` is a customer, or the account is staff and `by` is no admin.
    """
    if by is None:
        return
    if not by.admin:
        raise errors.Forbidden
    if user.admin and not by.superuser:
        raise errors.Forbidden(ADMINS_ONLY)


async def create_link(user: int, *, by: User | None) -> NewLink:
    """Create a link for an account; the account's older links end.

    Args:
        by: the staff user who asks for it; None for an operator at the command line.

    Raises:
        errors.NotFound: there is no such account.
        errors.Forbidden: `by` may not do this, or the account is disabled.
    """
    token, now = secrets.token_urlsafe(32), datetime.now(UTC)
    link = PasswordLink(digest=_digest(token), user=user, expires_at=now + LIFETIME)

    async def insert() -> None:
        found = await database.for_no_key_update(User.select(User.id).where(User.id == user))
        account = await User.objects().where(User.id == user).first() if found else None
        if account is None:
            raise errors.NotFound
        _require_permission(account, by)
        if not account.active:
            raise errors.Forbidden(DISABLED)
        ended = (PasswordLink.user == user) | (PasswordLink.expires_at <= now)
        await PasswordLink.delete().where(ended)
        await PasswordLink.insert(link)

    await database.transaction(insert)
    security.log_event("password-link-created", user=user, by=by.id if by else None)
    # Browsers do not send the part after `#`: the token is in no log of a server or a proxy, and in
    # no Referer header. Programs that show a preview of a link cannot use it up.
    return NewLink(f"{settings.load().address}{PATH}#{token}", link.expires_at)


async def use_link(token: str, password: str) -> str:
    """Set the password of the link's account, which ends the link; return the account's name.

    Raises:
        errors.PasswordLinkInvalid: it was used, it has expired, or there never was such a link.
        ValueError: the password is too short, too long, or common.
    """
    passwords.require_allowed(password)
    # Not by its id: SQLite gives the id of a deleted link to the next one.
    is_this = PasswordLink.digest == _digest(token)
    is_valid = is_this & (PasswordLink.expires_at > datetime.now(UTC))
    link = await PasswordLink.objects().where(is_valid).first()
    if link is None:
        security.log_event("password-link-refused")
        raise errors.PasswordLinkInvalid
    user: int = link.user

    async def use_up() -> None:
        # The row of the account is locked: of two requests at the same time, only one deletes it.
        if not await PasswordLink.delete().where(is_this).returning(PasswordLink.user):
            raise errors.PasswordLinkInvalid

    await users.edit_user(user, {}, by=user, password=password, further=use_up)
    security.log_event("password-link-used", user=user)
    account = await User.select(User.username).where(User.id == user).first()
    assert account is not None
    name: str = account["username"]
    return name
