"""The whole database schema.

Money is in whole minor units (cents), and times are UTC. Every foreign key is RESTRICT: deleting a
row never deletes a paid order or anything of it. Columns have no DEFAULT in the database, so a
missing value is an error and not a silent zero.
"""

from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any

from piccolo.apps.user.tables import BaseUser
from piccolo.columns import (
    JSON,
    BigInt,
    BigSerial,
    Boolean,
    Date,
    ForeignKey,
    Integer,
    OnDelete,
    OnUpdate,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.columns.readable import Readable
from piccolo.conf.apps import AppConfig
from piccolo.table import Table
from piccolo_api.session_auth.tables import SessionsBase

import piccolo_migrations
from icecream import states
from icecream.runtime import passwords

MAX_PRICE = 100_000_000
MAX_STOCK = 10**12
MAX_QUANTITY = 100_000
KINDS = ("charge", "refund")
# The kinds of jobs.
JOB_KINDS = (*KINDS, "notice")
# How long a provider's notice is retried: its order may not be in the database yet.
NOTICE_TRIED = timedelta(days=7)


class Bounded(BigInt):
    """A whole number with its bounds as a CHECK on the column, in a form both databases accept.

    `high` is a number, or the name of another column of the row.
    """

    def __init__(self, low: int, high: int | str | None = None, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(**kwargs)
        self._meta.params |= {"low": low, "high": high}

    @property
    def ddl(self) -> str:
        name = self._meta.db_column_name
        high = f'"{self.high}"' if isinstance(self.high, str) else self.high
        upper = "" if high is None else f' AND "{name}" <= {high}'
        return f'{super().ddl} CHECK ("{name}" >= {self.low}{upper})'


class Word(Varchar):
    """One of a few words, with a CHECK on the column."""

    def __init__(self, words: tuple[str, ...], **kwargs: Any) -> None:
        self.words = tuple(words)
        # The choices in the admin; they are not part of the schema that the migrations compare.
        named: Any = {word: word for word in self.words}
        choices: Any = Enum("Word", named)  # type: ignore[misc]  # mypy wants literals
        super().__init__(length=20, **kwargs | {"choices": choices})
        self._meta.params |= {"words": self.words, "choices": None}
        del self._meta.params["length"]

    @property
    def ddl(self) -> str:
        words = ", ".join(f"'{word}'" for word in self.words)
        return f'{super().ddl} CHECK ("{self._meta.db_column_name}" IN ({words}))'


def reference(table: type[Table], **kwargs: Any) -> Any:
    """Return a foreign key that is required and indexed, and forbids deleting its target."""
    kwargs = {"null": False, "index": True, "default": None} | kwargs
    return ForeignKey(table, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict, **kwargs)


class User(BaseUser, tablename="users"):
    """Who may sign in: a shop; `admin` is staff; `admin` and `superuser` is an admin."""

    email = Varchar(length=255, unique=True, null=True, default=None)
    payment_method = Varchar(
        length=255,
        null=True,
        default=None,
        help_text="The payment provider's reference, never a card number.",
    )

    @classmethod
    async def login(cls, username: str, password: str) -> int | None:
        """Return the id of the active user with that password, in constant time for any name."""
        user = await cls.objects().where(cls.username == username).first()
        matches = await passwords.matches(password, user.password if user else None)
        return user.id if user is not None and matches and user.active else None


class Session(SessionsBase, tablename="sessions"):
    """A sign-in to the admin."""


class RefreshToken(Table, tablename="refresh_token"):
    """A refresh token that was given out; the token itself is not kept, nor its `jti`."""

    id = BigSerial(primary_key=True)
    jti = Varchar(length=64, unique=True, default=None, help_text="SHA-256 of the token's id.")
    family = Varchar(length=64, index=True, default=None)
    user = reference(User)
    parent = Varchar(length=64, null=True, default=None, help_text="The one it was made from.")
    successor = Varchar(length=64, null=True, default=None, help_text="The newest made from it.")
    used_at = Timestamptz(null=True, default=None)
    expires_at = Timestamptz(default=None)


class Flavor(Table, tablename="flavor"):
    """What can be ordered."""

    id = BigSerial(primary_key=True)
    name = Varchar(length=100, unique=True, default=None)
    description = Text(default="")
    price = Bounded(0, MAX_PRICE, default=None, help_text="In minor units, such as cents.")
    stock = Bounded(
        0, MAX_STOCK, null=True, default=None, help_text="What is left; empty: not counted."
    )
    archived = Boolean(default=False, help_text="No longer sold.")
    version = Integer(default=1, help_text="Counts the edits.")

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="%s", columns=[cls.name])


class StockMove(Table, tablename="stock_move"):
    """A receipt or a correction of stock: what the stock is balanced against."""

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor)
    quantity = BigInt(default=None)
    why = Varchar(length=200, default=None)
    by = reference(User, null=True)
    at = Timestamptz(default=None)


class Order(Table, tablename="orders"):
    """What somebody ordered; its payment and its lines stand beside it."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    status = Word(tuple(states.ORDER), default=None)
    total = Bounded(0, default=None, help_text="In minor units, such as cents.")
    refunded = Bounded(0, "total", default=0)
    currency = Varchar(length=3, default=None)
    cancel_requested = Boolean(default=False)
    created_at = Timestamptz(default=None)

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="Order %s", columns=[cls.id])


class OrderLine(Table, tablename="order_line"):
    """How much of one flavor, at the price of that moment."""

    id = BigSerial(primary_key=True)
    order = reference(Order)
    flavor = reference(Flavor)
    quantity = Bounded(1, MAX_QUANTITY, default=None)
    unit_price = Bounded(0, MAX_PRICE, default=None)
    refunded = Bounded(0, default=0, help_text="Its part of what was given back.")


class IdempotencyKey(Table, tablename="idempotency_key"):
    """A request that was carried out under a key, and how it was answered."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    key = Varchar(length=255, default=None)
    fingerprint = Varchar(length=64, default=None)
    order = reference(Order, null=True)
    status = Integer(default=None)
    answer = JSON(default=None)
    created_at = Timestamptz(index=True, default=None)


class Payment(Table, tablename="payment"):
    """One attempt to move money, and the key that makes repeating it harmless."""

    id = BigSerial(primary_key=True)
    order = reference(Order)
    kind = Word(KINDS, default=None)
    n = Bounded(1, default=1, help_text="The first, second, ... of its kind for this order.")
    state = Word(tuple(states.PAYMENT), default=None)
    provider_key = Varchar(length=64, unique=True, default=None)
    provider_ref = Varchar(length=255, unique=True, null=True, default=None)
    amount = Bounded(0, default=None, help_text="In minor units, such as cents.")
    moved = BigInt(null=True, default=None, help_text="What the provider says that it moved.")
    method = Varchar(
        length=255,
        null=True,
        default=None,
        help_text="The payment provider's reference of what it is paid with.",
    )
    first_sent_at = Timestamptz(null=True, default=None)
    tries = Integer(default=0)
    last_error = Text(null=True, default=None)
    failure = Varchar(
        length=40, null=True, default=None, help_text="Why it was declined: one of a few words."
    )
    faults = Integer(null=True, default=None, help_text="Tries that ended in an error of ours.")

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="Payment %s", columns=[cls.id])


class Notice(Table, tablename="notice"):
    """What the provider told us of a payment: a hint, kept until the payment was looked up."""

    id = BigSerial(primary_key=True)
    provider = Varchar(length=20, default=None)
    event = Varchar(length=255, default=None, help_text="The provider's number for it.")
    key = Varchar(length=255, default=None, help_text="The payment's key.")
    reference = Varchar(length=255, default=None, help_text="The provider's for the payment.")
    received_at = Timestamptz(default=None)
    applied_at = Timestamptz(null=True, default=None)


class Job(Table, tablename="job"):
    """Something to be done at `run_at`: claimed, that moves a lease ahead; done, the row goes."""

    id = BigSerial(primary_key=True)
    kind = Varchar(length=20, default=None)
    subject = BigInt(default=None, help_text="The payment, or the notice.")
    customer = BigInt(null=True, default=None, help_text="Whose payment it is.")
    run_at = Timestamptz(index=True, default=None)
    tries = Integer(default=0)


class Event(Table, tablename="event"):
    """What happened to an order; never changed. `position` is the place in the published feed."""

    id = BigSerial(primary_key=True)
    order = reference(Order, index=False)
    seq = Integer(default=None)
    type = Varchar(length=40, default=None)
    payload = JSON(default=None)
    by = reference(User, null=True)
    at = Timestamptz(default=None)
    position = BigInt(unique=True, null=True, default=None)


class Unpublished(Table, tablename="unpublished"):
    """The events of one transaction, until they get their positions."""

    id = BigSerial(primary_key=True)
    events = JSON(default=None, help_text="Their ids, in order.")


class Feed(Table, tablename="feed"):
    """One row, and whoever holds it gives out positions: how many events have one."""

    id = BigSerial(primary_key=True)
    last = BigInt(default=None)


class FlavorTotal(Table, tablename="flavor_total"):
    """All that was ever ordered of a flavor, by what became of it; `orders` have a line of it."""

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor, index=False)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=0)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


class FlavorDay(Table, tablename="flavor_day"):
    """The same for one UTC day on which orders were placed."""

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor, index=False)
    day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=0)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


class CustomerDay(Table, tablename="customer_day"):
    """The same by who placed the orders."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=None)


class DayTotal(Table, tablename="day_total"):
    """The same of all orders, each counted once."""

    id = BigSerial(primary_key=True)
    day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=0)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


APP_CONFIG = AppConfig(
    app_name="icecream",
    migrations_folder_path=str(Path(piccolo_migrations.__path__[0])),
    table_classes=[
        User,
        Session,
        RefreshToken,
        Flavor,
        StockMove,
        Order,
        OrderLine,
        IdempotencyKey,
        Payment,
        Notice,
        Job,
        Event,
        Unpublished,
        Feed,
        FlavorTotal,
        FlavorDay,
        CustomerDay,
        DayTotal,
    ],
)
