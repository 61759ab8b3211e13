"""The accounts as staff see them: lists by name, and one account."""

from typing import Any

from msgspec import Struct
from piccolo.columns import Varchar
from piccolo.columns.combination import WhereRaw

from icecream import errors
from icecream.tables import User

PAGE_SIZE = 50
# The parts of the list, each with its condition.
PARTS: dict[str, Any] = {
    "all": None,
    "shops": User.admin.eq(False),
    "staff": User.admin.eq(True),
    "disabled": User.active.eq(False),
}
_COLUMNS = (User.id, User.username, User.email, User.active, User.admin, User.superuser)


class AccountRow(Struct):
    """An account without its secrets."""

    id: int
    username: str
    email: str | None
    active: bool
    admin: bool
    superuser: bool

    @property
    def role(self) -> str:
        """What the account may do: `shop`, `staff` or `admin`."""
        if not self.admin:
            return "shop"
        return "admin" if self.superuser else "staff"


class AccountDetails(AccountRow):
    """An account, and whether it has a payment method, which is never shown."""

    has_payment_method: bool


def _contains(column: Varchar, text: str) -> WhereRaw:
    """Return the condition that a column has this text, in any case."""
    pattern = text.lower().replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
    name = f'lower("users"."{column._meta.db_column_name}")'
    return WhereRaw(f"{name} LIKE {{}} ESCAPE '\\'", f"%{pattern}%")


async def search(text: str, part: str, *, after: str = "") -> tuple[list[AccountRow], bool]:
    """Return a page of the accounts with this text in their name or email, by name.

    Args:
        part: one of PARTS.
        after: the last name of the page before.

    Returns:
        The accounts, and whether more follow.
    """
    query = User.select(*_COLUMNS).order_by(User.username).limit(PAGE_SIZE + 1)
    if PARTS[part] is not None:
        query = query.where(PARTS[part])
    if text:
        query = query.where(_contains(User.username, text) | _contains(User.email, text))
    if after:
        query = query.where(User.username > after)
    rows = [AccountRow(**row) for row in await query]
    return rows[:PAGE_SIZE], len(rows) > PAGE_SIZE


async def load_account(user: int) -> AccountDetails:
    """Return an account.

    Raises:
        errors.NotFound: there is no such account.
    """
    row = await User.select(*_COLUMNS, User.payment_method).where(User.id == user).first()
    if row is None:
        raise errors.NotFound
    has_method = row.pop("payment_method") is not None
    return AccountDetails(**row, has_payment_method=has_method)
