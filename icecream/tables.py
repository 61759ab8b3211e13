"""The whole database schema.

Money is in whole minor units (cents), and times are UTC. Every foreign key is RESTRICT: deleting a
row never deletes a paid order or its rows. Columns have no DEFAULT in the database, so a
missing value is an error and not a silent zero.
"""

import hashlib
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path

from piccolo.apps.user.tables import BaseUser
from piccolo.columns import (
    JSON,
    BigInt,
    BigSerial,
    Boolean,
    Date,
    Integer,
    Text,
    Timestamptz,
    Varchar,
)
from piccolo.columns.readable import Readable
from piccolo.table import Table
from piccolo_api.session_auth.tables import SessionsBase

import piccolo_migrations
from icecream import states
from icecream.columns import Bounded, Word, reference
from icecream.database.queue_start import LONGEST_TRANSACTION_SECONDS, QueueStart
from icecream.runtime import optional_imports, passwords
from icecream.runtime.logs import security

# Piccolo formats new migrations with black, and uses the manager in an annotation.
_MIGRATIONS = "piccolo.apps.migrations.auto"
with optional_imports.replaced("black", _MIGRATIONS, f"{_MIGRATIONS}.migration_manager"):
    from piccolo.conf.apps import AppConfig

MAX_PRICE = 100_000_000
MAX_STOCK = 10**12
MAX_QUANTITY = 100_000
MAX_URL_LENGTH = 2000
# What a quantity of 1 of a flavor can be.
UNITS = ("tub", "litre", "case", "piece")
MAX_REFERENCE_LENGTH = 100
MAX_NOTE_LENGTH = 500
MAX_WHY_LENGTH = 200
# A session in the admin ends after this time without a use, and in any case after its lifetime
# (NIST SP 800-63B-4, 2.2.3). A use is written at most once in the interval.
SESSION_IDLE_TIME = timedelta(hours=1)
SESSION_LIFETIME = timedelta(hours=24)
SESSION_WRITE_INTERVAL = timedelta(minutes=5)
# The kinds of jobs.
JOB_KINDS = (*states.PAYMENT_KINDS, "notice")
# A part of a day is summed up from totals of this length. The offset of each time zone is a
# multiple of it, so every local day and hour begins with one.
SECONDS_PER_QUARTER = 15 * 60
# The states of a message to a webhook endpoint.
DELIVERY_STATES = ("pending", "succeeded", "failed")
# A webhook event is retried for this time: its order may not be in the database yet.
NOTICE_RETRY_PERIOD = timedelta(days=7)


class User(BaseUser, tablename="users"):
    """An account: a shop; with `admin`, staff; with `admin` and `superuser`, an admin."""

    email = Varchar(length=255, unique=True, null=True, default=None)
    payment_method = Varchar(
        length=255,
        null=True,
        default=None,
        secret=True,
        help_text="The payment provider's reference, never a card number. It is not shown. "
        "Empty keeps it; the word none removes it.",
    )

    @classmethod
    async def login(cls, username: str, password: str) -> int | None:
        """Return the id of the active user with that password, in constant time for any name."""
        user = None
        # PostgreSQL refuses to compare with such a character, which no name has.
        if "\0" not in username:
            user = await cls.objects().where(cls.username == username).first()
        matches = await passwords.verify_password(password, user.password if user else None)
        if user is not None and matches and user.active:
            return user.id
        reason = "wrong password" if user is not None and not matches else "disabled account"
        security.log_event(
            "credentials-refused",
            account=user.username if user else None,
            reason=reason if user else "unknown account",
        )
        return None


class Session(SessionsBase, tablename="sessions"):
    """A sign-in to the admin; the hash of its token is stored, and its times are UTC.

    These are the methods that Piccolo calls. `expiry_date` is never after `max_expiry_date`.
    """

    @staticmethod
    def hash_token(token: str) -> str:
        """Return what is stored of a token."""
        return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

    @classmethod
    async def create_session(
        cls,
        user_id: int,
        expiry_date: datetime | None = None,
        max_expiry_date: datetime | None = None,
    ) -> "Session":
        """Store a new session, and return it with its token; also delete the expired ones."""
        now, token = datetime.now(UTC).replace(tzinfo=None), secrets.token_urlsafe(32)
        await cls.delete().where(cls.expiry_date <= now)
        session = cls(
            token=cls.hash_token(token),
            user_id=user_id,
            expiry_date=now + SESSION_IDLE_TIME,
            max_expiry_date=now + SESSION_LIFETIME,
        )
        await session.save()
        session.token = token
        return session

    @classmethod
    async def get_user_id(cls, token: str, increase_expiry: timedelta | None = None) -> int | None:
        """Return the user of a session that has not ended.

        Args:
            increase_expiry: this is a use of the session: its idle time begins again. It is written
                only once in this time.
        """
        now, is_this = datetime.now(UTC).replace(tzinfo=None), cls.token == cls.hash_token(token)
        columns = (cls.user_id, cls.expiry_date, cls.max_expiry_date)
        row = await cls.select(*columns).where(is_this, cls.expiry_date > now).first()
        if row is None:
            return None
        end = min(now + SESSION_IDLE_TIME, row["max_expiry_date"])
        if increase_expiry is not None and end - row["expiry_date"] >= increase_expiry:
            await cls.update({cls.expiry_date: end}).where(is_this)
        user: int = row["user_id"]
        return user

    @classmethod
    async def remove_session(cls, token: str) -> None:
        """End a session."""
        is_this = cls.token == cls.hash_token(token)
        for row in await cls.delete().where(is_this).returning(cls.user_id):
            security.log_event("session-ended", user=row["user_id"])


class PaymentMethodOwner(Table, tablename="payment_method_owner"):
    """The first customer who set a payment method; no other customer may set it, ever."""

    id = BigSerial(primary_key=True)
    method = Varchar(length=255, unique=True, default=None, secret=True)
    user = reference(User)


class RefreshToken(Table, tablename="refresh_token"):
    """An issued refresh token; neither the token nor its `jti` is stored."""

    id = BigSerial(primary_key=True)
    jti = Varchar(
        length=64, unique=True, default=None, help_text="The SHA-256 hash of the token's id."
    )
    family = Varchar(length=64, index=True, default=None)
    user = reference(User)
    parent = Varchar(length=64, null=True, default=None, help_text="The token that it replaces.")
    successor = Varchar(
        length=64, null=True, default=None, help_text="The newest token that replaces it."
    )
    used_at = Timestamptz(null=True, default=None)
    expires_at = Timestamptz(default=None)


class ApiKey(Table, tablename="api_key"):
    """A key for programs of an account; only its hash is stored. A revoked one stays."""

    id = BigSerial(primary_key=True)
    user = reference(User)
    name = Varchar(length=100, default=None)
    prefix = Varchar(length=12, unique=True, default=None, help_text="Finds the key; not secret.")
    hash = Varchar(
        length=64, default=None, secret=True, help_text="The SHA-256 hash of the whole key."
    )
    scopes = Varchar(length=40, default=None, help_text="Words with spaces between them.")
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(null=True, default=None)
    last_used_at = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz(null=True, default=None)


class PasswordLink(Table, tablename="password_link"):
    """A link with which a user may set a new password, once; its token is not stored."""

    id = BigSerial(primary_key=True)
    digest = Varchar(length=64, unique=True, default=None, help_text="Of the token, SHA-256.")
    user = reference(User)
    expires_at = Timestamptz(default=None)


class Flavor(Table, tablename="flavor"):
    """A flavor that can be ordered."""

    id = BigSerial(primary_key=True)
    name = Varchar(length=100, unique=True, default=None)
    description = Text(default="")
    price = Bounded(0, MAX_PRICE, default=None, help_text="In minor units, such as cents.")
    stock = Bounded(
        0,
        MAX_STOCK,
        null=True,
        default=None,
        help_text="The available quantity; empty: not limited.",
    )
    archived = Boolean(default=False, help_text="No longer sold.")
    version = Integer(default=1, help_text="The edit counter.")
    sku = Varchar(length=64, null=True, default=None, help_text="The article number; unique.")
    unit = Word(UNITS, null=True, default=None, help_text="What a quantity of 1 is.")
    pack_size = BigInt(null=True, default=None, help_text="The number of pieces in one unit.")
    net_content_ml = BigInt(null=True, default=None, help_text="Of one unit, in millilitres.")
    allergens = JSON(null=True, default=None, help_text="Empty: not stated; []: none.")
    on_sale_from = Date(null=True, default=None, help_text="The first day of the season.")
    on_sale_to = Date(null=True, default=None, help_text="The last day of the season.")
    min_quantity = BigInt(null=True, default=None, help_text="The smallest quantity in an order.")
    quantity_multiple = BigInt(
        null=True, default=None, help_text="Only multiples of it can be ordered."
    )
    low_stock_threshold = BigInt(
        null=True, default=None, help_text="The stock is low at this quantity or less."
    )

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="%s", columns=[cls.name])


class StockMove(Table, tablename="stock_move"):
    """A delivery or a correction of stock; the doctor checks the stock against these rows."""

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor)
    quantity = BigInt(default=None)
    why = Varchar(length=MAX_WHY_LENGTH, default=None)
    by = reference(User, null=True)
    at = Timestamptz(default=None)


class Change(Table, tablename="change"):
    """A change of one field of a flavor or an account; it never changes itself."""

    id = BigSerial(primary_key=True)
    subject = Word(("flavor", "user"), default=None)
    row = BigInt(default=None, help_text="The id of the flavor or the account.")
    field = Varchar(length=40, default=None)
    before = Text(null=True, default=None, help_text="Empty for a new row, and for secrets.")
    after = Text(null=True, default=None, help_text="Empty for secrets.")
    by = reference(User, null=True)
    at = Timestamptz(default=None)


class Order(Table, tablename="orders"):
    """An order; its lines and payments are in other tables."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    status = Word(tuple(states.ORDER), default=None)
    total = Bounded(0, default=None, help_text="In minor units, such as cents.")
    refunded = Bounded(0, "total", default=0)
    currency = Varchar(length=3, default=None)
    cancel_requested = Boolean(default=False)
    created_at = Timestamptz(default=None)
    delivery_date = Date(null=True, default=None, help_text="The day that the customer asked for.")
    # The default in the database: a new order does not have to name it.
    fulfilment = Word(tuple(states.FULFILMENT), default="unfulfilled")
    note = Varchar(length=MAX_NOTE_LENGTH, null=True, default=None)
    # The last one, because it hides the function of this name.
    reference = Varchar(
        length=MAX_REFERENCE_LENGTH,
        null=True,
        default=None,
        help_text="The customer's own number of the order.",
    )

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="Order %s", columns=[cls.id])


class OrderLine(Table, tablename="order_line"):
    """The quantity of one flavor in an order, at the price when the order was placed."""

    id = BigSerial(primary_key=True)
    order = reference(Order)
    flavor = reference(Flavor)
    quantity = Bounded(1, MAX_QUANTITY, default=None)
    unit_price = Bounded(0, MAX_PRICE, default=None)
    refunded = Bounded(0, default=0, help_text="Its part of the refunds.")


class ImportedRow(Table, tablename="imported_row"):
    """A row that was imported from the original service: its id there, and its id here."""

    id = BigSerial(primary_key=True)
    kind = Word(("user", "flavor", "order"), default=None)
    source = BigInt(default=None, help_text="The id in the original.")
    row = BigInt(default=None, help_text="The id here.")


class ImportedKey(Table, tablename="imported_key"):
    """The key of an order or a receipt in the file from which it was imported; it never expires."""

    id = BigSerial(primary_key=True)
    kind = Word(("order", "stock"), default=None)
    key = Varchar(length=255, default=None)
    row = BigInt(default=None, help_text="The id of the order, or of the receipt.")


class IdempotencyKey(Table, tablename="idempotency_key"):
    """A request with an idempotency key, and its stored response."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    key = Varchar(length=255, default=None)
    fingerprint = Varchar(length=64, default=None)
    order = reference(Order, null=True)
    status = Integer(default=None)
    answer = JSON(default=None)
    created_at = Timestamptz(index=True, default=None)


class Payment(Table, tablename="payment"):
    """One attempt to move money, and the key that makes a repetition harmless."""

    id = BigSerial(primary_key=True)
    order = reference(Order, index=False)
    kind = Word(states.PAYMENT_KINDS, default=None)
    n = Bounded(
        1, default=1, help_text="1 for the first attempt of its kind for this order, then 2, ..."
    )
    state = Word(tuple(states.PAYMENT), default=None)
    provider_key = Varchar(length=64, unique=True, default=None)
    provider_ref = Varchar(length=255, unique=True, null=True, default=None)
    amount = Bounded(0, default=None, help_text="In minor units, such as cents.")
    moved = BigInt(null=True, default=None, help_text="The amount that the provider moved.")
    method = Varchar(
        length=255,
        null=True,
        default=None,
        secret=True,
        help_text="The payment provider's reference of the payment method.",
    )
    first_sent_at = Timestamptz(null=True, default=None)
    tries = Integer(default=0)
    last_error = Text(null=True, default=None)
    failure = Varchar(
        length=40,
        null=True,
        default=None,
        help_text="The reason of the decline: one of a few words.",
    )
    faults = Integer(null=True, default=None, help_text="Tries that ended in an internal error.")
    reason_code = Word(
        states.REFUND_REASONS, null=True, default=None, help_text="Why staff refund goods."
    )

    @classmethod
    def get_readable(cls) -> Readable:
        return Readable(template="Payment %s", columns=[cls.id])


class RefundLine(Table, tablename="refund_line"):
    """The quantity of an order's line that a refund is about; it never changes."""

    id = BigSerial(primary_key=True)
    payment = reference(Payment)
    line = reference(OrderLine)
    quantity = Bounded(1, MAX_QUANTITY, default=None)
    restocked = Boolean(default=None, help_text="The goods were put back into the stock.")


class Notice(Table, tablename="notice"):
    """A webhook event about a payment: a hint, stored until the payment was looked up."""

    id = BigSerial(primary_key=True)
    provider = Varchar(length=20, default=None)
    event = Varchar(length=255, default=None, help_text="The provider's id of the event.")
    key = Varchar(length=255, default=None, help_text="The payment's key.")
    reference = Varchar(length=255, default=None, help_text="The provider's id of the payment.")
    received_at = Timestamptz(default=None)
    applied_at = Timestamptz(null=True, default=None)


class Job(Table, tablename="job"):
    """Work that is due at `run_at`; a lease postpones it, and the end of the work deletes it."""

    id = BigSerial(primary_key=True)
    kind = Varchar(length=20, default=None)
    subject = BigInt(default=None, help_text="The payment, or the notice.")
    customer = BigInt(null=True, default=None, help_text="The customer of the payment.")
    run_at = Timestamptz(index=True, default=None)
    tries = Integer(default=0)


# A new job is due at the start of its transaction, which may read for two seconds before it writes.
JOB_QUEUE_START = QueueStart(
    Job.run_at, end="now()", margin=timedelta(seconds=2), max_wait=LONGEST_TRANSACTION_SECONDS
)


class Event(Table, tablename="event"):
    """An event of an order; it never changes. `position` is its place in the published feed."""

    id = BigSerial(primary_key=True)
    order = reference(Order, index=False)
    seq = Integer(default=None)
    type = Varchar(length=40, default=None)
    payload = JSON(default=None)
    # A partial index finds the events of an account.
    by = reference(User, null=True, index=False)
    at = Timestamptz(default=None)
    position = BigInt(unique=True, null=True, default=None)


class Unpublished(Table, tablename="unpublished"):
    """The events of one transaction, until they get their positions."""

    id = BigSerial(primary_key=True)
    events = JSON(default=None, help_text="The ids of the events, in order.")


class Feed(Table, tablename="feed"):
    """One row with the last assigned position; its lock allows one publisher at a time."""

    id = BigSerial(primary_key=True)
    last = BigInt(default=None)


class WebhookEndpoint(Table, tablename="webhook_endpoint"):
    """A URL of a user's program; each event of the orders that the user may see is sent to it."""

    id = BigSerial(primary_key=True)
    user = reference(User)
    url = Varchar(length=MAX_URL_LENGTH, default=None)
    description = Varchar(length=200, default="")
    types = JSON(null=True, default=None, help_text="The types of events; empty: all.")
    secret = Varchar(length=100, default=None, secret=True)
    previous_secret = Varchar(length=100, null=True, default=None, secret=True)
    previous_secret_until = Timestamptz(null=True, default=None)
    created_at = Timestamptz(default=None)
    start = BigInt(default=None, help_text="Only events after this position are sent.")
    next_round_at = Timestamptz(
        default=None, help_text="No worker sends to it before: a lease, or a pause after failures."
    )
    lease = BigInt(default=0, help_text="The number of leases; only the last one may write.")
    failures = Integer(default=0, help_text="The rounds in a row in which nothing was accepted.")
    failing_since = Timestamptz(null=True, default=None)
    disabled_at = Timestamptz(null=True, default=None)
    disabled_reason = Varchar(length=200, null=True, default=None)
    deleted_at = Timestamptz(null=True, default=None)


class WebhookDelivery(Table, tablename="webhook_delivery"):
    """A message for one endpoint: a part of the queue while it is pending, then of the log."""

    id = BigSerial(primary_key=True)
    # PostgreSQL does not check it: each round of messages writes the endpoint, and a check would
    # read all of its old rows. An endpoint is never deleted, only marked.
    endpoint = reference(WebhookEndpoint, index=False)
    # Plain numbers, so that a delivery costs the order nothing.
    order = BigInt(null=True, default=None)
    customer = BigInt(null=True, default=None, help_text="The customer of the order.")
    message = Varchar(length=64, default=None, help_text="The same for each try and each replay.")
    type = Varchar(length=60, default=None)
    body = Text(default=None)
    state = Word(DELIVERY_STATES, default=None)
    created_at = Timestamptz(default=None)
    due_at = Timestamptz(null=True, default=None, help_text="Empty: it has ended.")
    tries = Integer(default=0)
    tried_at = Timestamptz(null=True, default=None, help_text="The end of the last try.")
    duration_ms = Integer(null=True, default=None)
    status_code = Integer(null=True, default=None)
    answer = Text(null=True, default=None, help_text="The start of the last answer.")
    error = Varchar(length=300, null=True, default=None)


class WebhookProgress(Table, tablename="webhook_progress"):
    """One row; its lock allows one process at a time to queue deliveries."""

    id = BigSerial(primary_key=True)
    position = BigInt(default=None, help_text="All events up to it are queued.")


class FlavorTotal(Table, tablename="flavor_total"):
    """The totals of a flavor by order status; `orders` counts the orders with a line of it."""

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor, index=False)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=0)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


class FlavorDay(Table, tablename="flavor_day"):
    """The totals of a flavor by order status and by the day of placing.

    A row has both days: in UTC, and in the time zone of the installation. So it counts for exactly
    one day in either zone, also when clocks change, and a day has two rows at most.
    """

    id = BigSerial(primary_key=True)
    flavor = reference(Flavor, index=False)
    day = Date(default=None)
    local_day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=0)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


class CustomerDay(Table, tablename="customer_day"):
    """The totals of a customer by order status and day."""

    id = BigSerial(primary_key=True)
    user = reference(User, index=False)
    day = Date(default=None)
    local_day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=None)


class DayTotal(Table, tablename="day_total"):
    """The totals of all orders by order status and day; each order counts once."""

    id = BigSerial(primary_key=True)
    day = Date(default=None)
    local_day = Date(default=None)
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=0)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=0)


class QuarterTotal(Table, tablename="quarter_total"):
    """The totals of all orders by order status and quarter of an hour, for parts of a day."""

    id = BigSerial(primary_key=True)
    quarter = BigInt(default=None, help_text="The number of quarters of an hour since 1970.")
    status = Word(tuple(states.ORDER), default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=None)


class PaymentDay(Table, tablename="payment_day"):
    """The totals of payments that have ended, by kind, state and the day of placing their orders.

    They have the same sums as the other totals: `quantity` is the number of payments, `revenue`
    their amount.
    """

    id = BigSerial(primary_key=True)
    kind = Word(states.PAYMENT_KINDS, default=None)
    state = Word(tuple(states.PAYMENT), default=None)
    day = Date(default=None)
    local_day = Date(default=None)
    quantity = BigInt(default=None)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=None)


class TotalChange(Table, tablename="total_change"):
    """A change that is not yet part of the totals: of a flavor, of a customer, or of payments."""

    id = BigSerial(primary_key=True)
    # Plain numbers: the order of the same transaction refers to the flavor and to the customer, and
    # PostgreSQL would check each foreign key of each row.
    flavor = BigInt(null=True, default=None)
    user = BigInt(null=True, default=None)
    kind = Word(states.PAYMENT_KINDS, null=True, default=None)
    state = Word(tuple(states.PAYMENT), null=True, default=None)
    day = Date(default=None)
    local_day = Date(default=None)
    quarter = BigInt(default=None)
    status = Word(tuple(states.ORDER), default=None, help_text="Of the order.")
    quantity = BigInt(default=None)
    orders = BigInt(default=None)
    revenue = BigInt(default=None)
    refunded = BigInt(default=None)


class TotalProgress(Table, tablename="total_progress"):
    """One row; its lock allows one process at a time to apply changes to the totals."""

    id = BigSerial(primary_key=True)
    start = BigInt(default=None, help_text="All changes before this id are applied.")
    time_zone = Varchar(length=64, default="UTC", help_text="The zone of all `local_day`.")


class _Sums:
    """The columns of all views of totals."""

    status = Varchar()
    quantity = BigInt()
    orders = BigInt()
    revenue = BigInt()
    refunded = BigInt()


# Views of the totals together with the changes that are not yet applied, so a key may have several
# rows. They have no ids. Their foreign keys are plain numbers, because the admin would show a link
# to each table that refers to a row.
class CurrentFlavorTotal(_Sums, Table, tablename="current_flavor_total"):
    """The totals of a flavor by order status, exact at any time."""

    flavor = BigInt()


class CurrentFlavorDay(_Sums, Table, tablename="current_flavor_day"):
    """The totals of a flavor by order status and day, exact at any time."""

    flavor = BigInt()
    day = Date()
    local_day = Date()


class CurrentCustomerDay(_Sums, Table, tablename="current_customer_day"):
    """The totals of a customer by order status and day, exact at any time."""

    user = BigInt()
    day = Date()
    local_day = Date()


class CurrentDayTotal(_Sums, Table, tablename="current_day_total"):
    """The totals of all orders by order status and day, exact at any time."""

    day = Date()
    local_day = Date()


class CurrentQuarterTotal(_Sums, Table, tablename="current_quarter_total"):
    """The totals of all orders by order status and quarter of an hour, exact at any time."""

    quarter = BigInt()


class CurrentPaymentDay(Table, tablename="current_payment_day"):
    """The totals of payments that have ended, exact at any time."""

    kind = Varchar()
    state = Varchar()
    day = Date()
    local_day = Date()
    quantity = BigInt()
    revenue = BigInt()


APP_CONFIG = AppConfig(
    app_name="icecream",
    migrations_folder_path=str(Path(piccolo_migrations.__path__[0])),
    table_classes=[
        User,
        PaymentMethodOwner,
        Session,
        RefreshToken,
        ApiKey,
        PasswordLink,
        Flavor,
        StockMove,
        Change,
        Order,
        OrderLine,
        ImportedRow,
        ImportedKey,
        IdempotencyKey,
        Payment,
        RefundLine,
        Notice,
        Job,
        Event,
        Unpublished,
        Feed,
        WebhookEndpoint,
        WebhookDelivery,
        WebhookProgress,
        FlavorTotal,
        FlavorDay,
        CustomerDay,
        DayTotal,
        QuarterTotal,
        PaymentDay,
        TotalChange,
        TotalProgress,
    ],
)
