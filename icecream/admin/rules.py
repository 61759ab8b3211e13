"""Rules for edits of staff in the admin: the same as those of the API."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from piccolo.columns import Boolean, Column
from piccolo.table import Table

from icecream import database, errors, fields, settings
from icecream.accounts import http as accounts_http
from icecream.accounts import users
from icecream.catalogue import flavors
from icecream.http import bodies
from icecream.payments.http import methods as methods_http
from icecream.runtime import passwords
from icecream.tables import Flavor, RefreshToken, User

STOCK = "Stock moves by orders and receipts only."

Line = Annotated[str, Meta(max_length=255, pattern=rf"^\Z|{fields.LINE}", extra=fields.VISIBLE)]


class Person(Struct):
    """The rules for the fields of a user."""

    username: accounts_http.Username
    first_name: Line | None = None
    last_name: Line | None = None
    email: Line | None = None
    payment_method: Line | None = None
    active: bool = True
    admin: bool = False
    superuser: bool = False

    def __post_init__(self) -> None:
        # No two users may have the same email, but any number may have none.
        self.email = self.email or None
        if method := self.payment_method or None:
            methods_http.validate_reference(method, "payment_method")
        self.payment_method = method


class AddedFlavor(flavors.NewFlavor):
    """A new flavor from staff."""

    archived: bool = False


class Account(User, tablename="users"):
    """A user as the admin knows one: only staff sign in, and hashing stays off the loop."""

    # The default in the form for a new user.
    active = Boolean(default=True)

    @classmethod
    async def login(cls, username: str, password: str) -> int | None:
        """Return the id of the active member of staff with that password."""
        try:
            given = msgspec.convert((username, password), tuple[accounts_http.Username, str])
        except msgspec.ValidationError:
            return None
        user = await super().login(*given)
        staff = user is not None and await cls.exists().where(cls.id == user, cls.admin.eq(True))
        return user if staff else None

    @classmethod
    async def update_password(cls, user: int | str, password: str) -> None:
        """Set a password like the command line does: the user is signed out everywhere."""
        await users.set_password(int(user), _plain(password))

    @classmethod
    async def create_user(cls, username: str, password: str, **others: Any) -> "Account":
        """Add a user."""
        given = {name: value for name, value in others.items() if value is not None}
        values = given | _checked({"username": username} | given, Person)
        user = cls(**values, password=await passwords.hashed(_plain(password)))
        try:
            await user.save()
        except database.REFUSED:
            raise errors.AccountExists() from None
        return user


# The tables that refer to a user and are shown in the admin.
Account._meta._foreign_key_references = [
    key for key in User._meta.foreign_key_references if key._meta.table is not RefreshToken
]


def _plain(password: Any) -> str:
    if not isinstance(password, str) or password.startswith("pbkdf2_sha256"):
        raise ValueError("Send the password itself, not its hash.")
    return password


def _checked(values: dict[str, Any], rules: type[Struct]) -> dict[str, Any]:
    """Return the values that the rules have fields for, normalized."""
    known = {name: values[name] for name in rules.__struct_fields__ if name in values}
    try:
        return msgspec.structs.asdict(msgspec.convert(known, rules))
    except msgspec.ValidationError as error:
        raise bodies.refused(error, rules) from None


async def _change(
    table: type[Table], row_id: int, values: dict[Column, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the present row, and the sent values by column name."""
    row = await table.select().where(table._meta.primary_key == row_id).first()
    return row or {}, {column._meta.name: value for column, value in values.items()}


async def add_flavor(row: Flavor) -> Flavor:
    """Check a new flavor by the rules of the API."""
    row.version = row.version or 1
    if row.stock is not None or row.version != 1:
        raise errors.ValidationFailed("/stock", "read-only", f"Leave the stock empty. {STOCK}")
    price = settings.load().default_price if row.price is None else row.price
    new = _checked(row.to_dict() | {"price": price}, AddedFlavor)
    row.name, row.price = new["name"], new["price"]
    return row


async def edit_flavor(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Edit a flavor like the API does.

    The form sends all columns, so read-only columns are accepted if they are unchanged.
    """
    row, sent = await _change(Flavor, row_id, values)
    if sent.pop("stock", row["stock"]) != row["stock"]:
        raise errors.StockChanged(f"{STOCK} It is {row['stock']} now; load the page again.")
    seen = sent.pop("version", row["version"])

    def check(version: int) -> None:
        if seen != version:
            raise errors.EditConflict(
                "This flavor was edited after the page was loaded; load again."
            )

    edited = _checked(sent, flavors.FlavorEdit)
    await flavors.edit_flavor(row_id, flavors.FlavorEdit(**edited), check=check)
    return {"id": row_id}


async def edit_user(row_id: int, values: dict[Column, Any]) -> dict[str, Any]:
    """Check an edit of a user; a new password, or becoming inactive, signs the user out."""
    row, sent = await _change(User, row_id, values)
    password = sent.pop("password", None)
    new = row | sent | _checked(row | sent, Person)
    await _keep_apart(row_id, new)
    if not (new["active"] and new["admin"] and new["superuser"]):
        await database.transaction(lambda: users.keep_an_admin(row_id))
    if password:
        await users.set_password(row_id, _plain(password))
    if not new["active"]:
        await users.disable(row_id)
    if new["payment_method"] != row["payment_method"]:
        # Set here, not by Piccolo, so that it applies to the user's next order.
        await methods_http.set_payment_method(row_id, new["payment_method"])
    # An update must set at least one column, so the id is set to its present value.
    return {name: new[name] for name in sent} | {"id": row_id}


async def _keep_apart(row_id: int, new: dict[str, Any]) -> None:
    same = User.username == new["username"]
    if new["email"]:
        same = same | (User.email == new["email"])
    if await User.exists().where(User.id != row_id, same):
        raise errors.AccountExists()
