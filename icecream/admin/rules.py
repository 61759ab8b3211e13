"""Rules for edits in the admin: the same as in the API."""

from contextvars import ContextVar
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct
from piccolo.columns import Boolean, Column
from piccolo.table import Table

from icecream import constraints, conversion, errors, fields
from icecream.accounts import users
from icecream.catalogue import flavors
from icecream.payments.http import methods as methods_http
from icecream.runtime import passwords
from icecream.runtime.logs import security
from icecream.tables import (
    ApiKey,
    Flavor,
    PasswordLink,
    PaymentMethodOwner,
    RefreshToken,
    User,
    WebhookEndpoint,
)

T = TypeVar("T", bound=Struct)
# The user who sent the current request to Piccolo's table API.
caller: ContextVar[User] = ContextVar("caller")
# The word that removes a payment method.
NO_METHOD = "none"
STOCK_IS_READ_ONLY = "Stock changes only by orders and receipts."

OptionalLine = Annotated[
    str, Meta(max_length=255, pattern=rf"^\Z|{fields.LINE_PATTERN}", extra=fields.VISIBLE_TEXT_RULE)
]


class UserRules(Struct):
    """The rules for the fields of a user."""

    username: users.Username
    first_name: OptionalLine | None = None
    last_name: OptionalLine | None = None
    email: OptionalLine | None = None
    payment_method: OptionalLine | None = None
    active: bool = True
    admin: bool = False
    superuser: bool = False

    def __post_init__(self) -> None:
        if not fields.is_visible(self.username):
            raise constraints.InvalidValue("username", "must have a visible character")
        # No two users may have the same email, but any number may have none.
        self.email = self.email or None
        if method := self.payment_method or None:
            methods_http.validate_reference(method, "payment_method")
        self.payment_method = None if method == NO_METHOD else method


class NewFlavorRules(flavors.NewFlavor, kw_only=True):
    """A new flavor in the admin."""

    archived: bool = False


class Account(User, tablename="users"):
    """The admin's user table: only staff can sign in, and hashing does not block the loop."""

    # The default in the form for a new user.
    active = Boolean(default=True)

    @classmethod
    async def login(cls, username: str, password: str) -> int | None:
        """Return the id of the active staff user with this name and password."""
        try:
            credentials = msgspec.convert((username, password), tuple[users.Username, str])
        except msgspec.ValidationError:
            return None
        user = await super().login(*credentials)
        if user is None or await cls.exists().where(cls.id == user, cls.admin.eq(True)):
            return user
        security.log_event("credentials-refused", account=credentials[0], reason="not staff")
        return None

    @classmethod
    async def update_password(cls, user: int | str, password: str) -> None:
        """Set a password, and sign the user out everywhere."""
        await users.set_password(int(user), _require_plain(password), by=int(user))

    @classmethod
    async def create_user(cls, username: str, password: str, **others: Any) -> "Account":
        """Add a user."""
        values = {name: value for name, value in others.items() if value is not None}
        values |= _validate({"username": username} | values, UserRules)
        plain = _require_new_password(password)
        user = await users.insert_user(values, plain, by=caller.get().id)
        return cls(**user.to_dict())


# The tables that refer to a user and are not shown in the admin.
NOT_SHOWN = (ApiKey, PasswordLink, PaymentMethodOwner, RefreshToken, WebhookEndpoint)
Account._meta._foreign_key_references = [
    key for key in User._meta.foreign_key_references if key._meta.table not in NOT_SHOWN
]


def _require_plain(password: Any) -> str:
    if not isinstance(password, str) or password.startswith("pbkdf2_sha256"):
        raise ValueError("Send the password itself, not its hash.")
    return password


def _require_new_password(password: Any) -> str:
    try:
        passwords.require_allowed(_require_plain(password))
    except ValueError as error:
        raise errors.ValidationFailed("/password", "invalid", str(error)) from None
    return str(password)


def _convert(values: dict[str, Any], rules: type[T]) -> T:
    """Convert the values for which the rules have fields."""
    known = {name: values[name] for name in rules.__struct_fields__ if name in values}
    try:
        return msgspec.convert(known, rules)
    except msgspec.ValidationError as error:
        raise conversion.to_validation_failure(error, rules) from None


def _validate(values: dict[str, Any], rules: type[Struct]) -> dict[str, Any]:
    """Return the values for which the rules have fields, checked and normalized."""
    return msgspec.structs.asdict(_convert(values, rules))


async def _load_change(
    table: type[Table], row_id: int, values: dict[Column, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the current row, and the sent values by column name."""
    row = await table.select().where(table._meta.primary_key == row_id).first()
    return row or {}, {column._meta.name: value for column, value in values.items()}


async def add_flavor(row: Flavor) -> Flavor:
    """Add a flavor like the API does."""
    if row.stock is not None or row.version not in (1, None):
        raise errors.ValidationFailed(
            "/stock", "read-only", f"Leave the stock empty. {STOCK_IS_READ_ONLY}"
        )
    values = row.to_dict()
    del values["stock"]
    if values["price"] is None:
        del values["price"]
    flavor = await flavors.create_flavor(
        _convert(_with_list(values), NewFlavorRules), by=caller.get()
    )
    # Piccolo calls `save` and answers with its result; the row is there already.
    saved: Any = Flavor.select(Flavor.id).where(Flavor.id == flavor.id)
    row.save = lambda: saved
    return row


def _with_list(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a flavor with the allergens as a list; the form sends JSON as text."""
    text = values.get("allergens")
    if not isinstance(text, str):
        return values
    try:
        return values | {"allergens": msgspec.json.decode(text) if text.strip() else None}
    except msgspec.DecodeError:
        raise errors.ValidationFailed(
            "/allergens", "invalid", 'allergens must be a JSON list, such as ["milk"].'
        ) from None


async def edit_flavor(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Edit a flavor like the API does.

    The form sends all columns, so read-only columns are accepted if they are unchanged.
    """
    row, sent = await _load_change(Flavor, row_id, values)
    if sent.pop("stock", row["stock"]) != row["stock"]:
        raise errors.StockChanged(
            f"{STOCK_IS_READ_ONLY} It is {row['stock']} now; reload the page."
        )
    seen = sent.pop("version", row["version"])

    def check(version: int) -> None:
        if seen != version:
            raise errors.EditConflict()

    edited = _convert(_with_list(sent), flavors.FlavorEdit)
    await flavors.edit_flavor(row_id, edited, by=caller.get().id, check=check)
    # An update must set at least one column, so the id is set to its current value.
    return {"id": row_id}


async def edit_user(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Edit a user; a new password or a deactivation signs the user out."""
    row, sent = await _load_change(User, row_id, values)
    password = sent.pop("password", None)
    # It is not shown, so an unchanged form sends nothing.
    if not sent.get("payment_method"):
        sent.pop("payment_method", None)
    valid = {k: v for k, v in _validate(row | sent, UserRules).items() if k in sent}
    by = caller.get().id

    async def set_method() -> None:
        if "payment_method" in valid:
            await methods_http.set_payment_method(row_id, valid["payment_method"], by=by)

    await users.edit_user(
        row_id,
        {name: value for name, value in valid.items() if name != "payment_method"},
        by=by,
        password=_require_new_password(password) if password else None,
        further=set_method,
    )
    return {"id": row_id}
