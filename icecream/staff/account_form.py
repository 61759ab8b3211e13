"""The form of an account: its fields, their problems, and the roles."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from icecream import constraints, conversion, errors, fields, settings
from icecream.accounts import password_links, users
from icecream.pages import forms
from icecream.tables import User

ROLES: dict[str, dict[str, bool]] = {
    "shop": {"admin": False, "superuser": False},
    "staff": {"admin": True, "superuser": False},
    "admin": {"admin": True, "superuser": True},
}
LABELS = {
    "username": "Name",
    "email": "E-mail",
    "role": "Role",
    "active": "Active",
    "admin": "Staff",
    "superuser": "Admin",
}
NOT_UNIQUE = "Another account has this name or this e-mail address."


class Contact(Struct):
    """The fields of the form of an account."""

    username: users.Username
    email: users.Email | None = None
    role: str = "shop"

    def __post_init__(self) -> None:
        if not fields.is_visible(self.username):
            raise constraints.InvalidValue("username", "must have a visible character")
        if self.role not in ROLES:
            raise constraints.InvalidValue("role", f"must be {constraints.describe_choice(ROLES)}")


class ShownAccount(Struct, kw_only=True):
    """What the page of an account shows besides the account."""

    texts: Mapping[str, Any] = {}
    problems: dict[str, str] = {}
    alarm: str = ""
    done: str = ""
    link: password_links.NewLink | None = None


def read_contact(sent: Mapping[str, Any]) -> Contact:
    """Return the valid fields of a form.

    Raises:
        errors.ValidationFailed: a field is not valid.
    """
    given = {name: value for name in ("username", "email", "role") if (value := sent.get(name))}
    return conversion.convert_body(given, Contact)


def refused(sent: Mapping[str, Any], refusal: errors.Refusal) -> ShownAccount:
    """Return the form as it was sent, with the message at its field, or above the form."""
    problems = forms.field_problems(refusal, LABELS)
    is_taken = isinstance(refusal, errors.AccountExists)
    alarm = "" if problems else NOT_UNIQUE if is_taken else refusal.detail
    return ShownAccount(texts=sent, problems=problems, alarm=alarm)


def role_flags(role: str, by: User) -> dict[str, bool]:
    """Return the flags of a role.

    Raises:
        errors.Forbidden: `by` is no admin, and it is a role of staff.
    """
    if role != "shop" and not by.superuser:
        raise errors.Forbidden(users.ADMINS_ONLY)
    return ROLES[role]


def page_address(user: int, done: str) -> str:
    """Return the address of an account's page, which says what was `done`."""
    return f"{settings.load().prefix}/staff/customers/{user}/?done={done}"
