"""Placing orders: orders that arrive together are written together, in one transaction."""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from datetime import UTC, datetime
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from icecream import database, errors, fields, settings
from icecream.catalogue import inventory, order_lines
from icecream.database import batching
from icecream.feed import order_history
from icecream.idempotency import keys
from icecream.orders import order_ids
from icecream.orders.details import NO_DETAILS, OrderDetails
from icecream.payments import attempts
from icecream.reporting import totals
from icecream.runtime import instrumentation
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import Order, OrderLine

# More lines would keep stock locked for longer.
MAX_LINES_PER_BATCH = 100
# Further orders are refused with 503 instead of waiting for long.
MAX_QUEUED_ORDERS = 2000
# After a notification of the workers, the payments of this time go into the next one. Under load,
# few large notifications cost less than many small ones, here and for the workers.
NOTIFICATION_INTERVAL_SECONDS = 0.02
REFUSALS = (inventory.LineRefused, errors.Refusal)


class NotifyWorkers(Protocol):
    """A function that notifies the workers of payments, if there are any; it logs its own errors.

    `customers` are the customers of the payments, if known, in the same order.
    """

    def __call__(self, payments: list[int], customers: Sequence[int] = ()) -> Awaitable[None]: ...


class OrderRequest(Struct, frozen=True):
    """An order to be placed: quantities by flavor id, with an optional Idempotency-Key.

    `method` is the payment method, which the provider may require. `at` is the time of the order
    and its events, if not now. An order that is `imported` has events of now, and `by` is the user
    who imported it, or None for the command line.
    """

    user: int
    lines: dict[int, int]
    key: keys.RequestKey | None = None
    method: str | None = None
    details: OrderDetails = NO_DETAILS
    at: datetime | None = None
    imported: bool = False
    by: int | None = None


class OrderReceipt(Struct):
    """The order is stored and will be paid."""

    status: Literal["Order placed"]
    order_id: fields.Id


class PlacedOrder(Struct, frozen=True):
    """A placed order, its payment to be charged, if any, and whether this is a replay."""

    receipt: OrderReceipt
    customer: int
    payment: int | None = None
    replayed: bool = False

    @property
    def order(self) -> int:
        """The id of the order."""
        return self.receipt.order_id


class OrderPlacer:
    """Places orders, in batches.

    Args:
        notify: notifies the workers of payments to be charged; called after the commit.
    """

    def __init__(self, notify: NotifyWorkers) -> None:
        self._notify = notify
        self._ids = order_ids.IdSupply()
        self._batches = batching.BatchQueue(
            self._place_batch,
            name="orders",
            max_weight=MAX_LINES_PER_BATCH,
            max_waiting=MAX_QUEUED_ORDERS,
            weight=_line_count,
            after_batch=self.after_commit,
            # SQLite has one writer.
            overlaps=isinstance(database.DB, database.Postgres),
        )
        # The payments of the next notification, with their customers.
        self._staged: dict[int, int] = {}
        self._notifier: asyncio.Task[None] | None = None

    async def place(
        self,
        user: int,
        lines: dict[int, int],
        key: keys.RequestKey | None = None,
        method: str | None = None,
        details: OrderDetails = NO_DETAILS,
    ) -> PlacedOrder:
        """Order these quantities, by flavor id, for a user.

        When this returns, the order is on disk, together with its lines, its payment, the job that
        will charge it, its history, its part of the totals, and its key. An order with a total of 0
        is paid at once. A repeated request under the same key gets the first answer again.

        Raises:
            inventory.LineRefused: a flavor cannot be ordered, or not in this quantity.
            errors.InsufficientStock: there is less stock left than ordered.
            errors.IdempotencyKeyReused: the key came with another request.
            errors.PaymentMethodRequired: the user has no payment method.
            errors.ValidationFailed: the delivery date is in the past, or too far ahead.
            errors.Unavailable: too many orders are waiting.
            database.CommitOutcomeUnknown: it is unknown whether the order was placed.
        """
        try:
            return await self._batches.submit(OrderRequest(user, lines, key, method, details))
        except (*REFUSALS, *database.DATABASE_UNAVAILABLE) as error:
            instrumentation.count_orders(_refusal_code(error))
            raise

    async def _place_batch(self, requests: list[OrderRequest]) -> list[PlacedOrder | Exception]:
        takes_ahead = isinstance(database.DB, database.Postgres) and self._batches.is_busy
        return await place_in_transaction(requests, self._ids if takes_ahead else None)

    def after_commit(self, results: Sequence[PlacedOrder | Exception]) -> None:
        """Count the orders, and notify the workers, after the commit."""
        reach_failpoint("orders.committed")
        placed = [order for order in results if isinstance(order, PlacedOrder)]
        self._staged |= {order.payment: order.customer for order in placed if order.payment}
        # The notification is not awaited: it only makes payments faster. The jobs in the database
        # make them certain.
        if self._staged and (self._notifier is None or self._notifier.done()):
            self._notifier = asyncio.create_task(self._notify_workers())
        replayed = sum(order.replayed for order in placed)
        instrumentation.count_orders("placed", len(placed) - replayed)
        instrumentation.count_orders("replayed", replayed)

    async def _notify_workers(self) -> None:
        while self._staged:
            staged, self._staged = self._staged, {}
            reach_failpoint("orders.notifying")
            await self._notify(list(staged), list(staged.values()))
            await asyncio.sleep(NOTIFICATION_INTERVAL_SECONDS)

    async def close(self) -> None:
        """Accept no more orders, and finish those that were accepted."""
        await self._batches.close()
        if self._notifier is not None:
            await self._notifier


def _refusal_code(error: Exception) -> str:
    """Return the code of the reason why an order was not placed."""
    if isinstance(error, inventory.LineRefused):
        return error.code
    return error.code if isinstance(error, errors.Refusal) else errors.Unavailable.code


class _NewOrder(Struct):
    """An order that is being placed."""

    id: int
    payment: int
    user: int
    lines: list[order_lines.Line]
    total: int
    key: keys.RequestKey | None
    method: str | None
    details: OrderDetails
    at: datetime
    recorded_at: datetime
    by: int | None

    @property
    def status(self) -> str:
        return "pending" if self.total else "paid"

    @property
    def receipt(self) -> OrderReceipt:
        return OrderReceipt("Order placed", self.id)


class _Replay(Struct):
    """A repeated request under the key of the first one."""

    first: "_NewOrder | str"

    @property
    def receipt(self) -> OrderReceipt:
        if isinstance(self.first, str):
            return msgspec.json.decode(self.first, type=OrderReceipt)
        return self.first.receipt


# By key: the fingerprint of the request, and its result. The result is an order of this batch or
# the stored answer. The stored answer is a receipt only if the fingerprints are equal.
KnownKeys = dict[tuple[int, str], tuple[str, _NewOrder | str]]
PlacementResult = _NewOrder | _Replay | Exception

_INSERT_ORDERS = database.insert(
    Order,
    (
        *(Order.id, Order.user, Order.status, Order.total, Order.currency, Order.created_at),
        *(Order.reference, Order.note, Order.delivery_date),
    ),
    computed=((Order.refunded, "0"), (Order.cancel_requested, "false")),
)
_INSERT_LINES = database.insert(
    OrderLine,
    (OrderLine.order, OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price),
    computed=((OrderLine.refunded, "0"),),
)


async def place_in_transaction(
    requests: list[OrderRequest], ids: order_ids.IdSupply | None = None
) -> list[PlacedOrder | Exception]:
    """Place these orders in a transaction; nothing follows its COMMIT, as it may be repeated."""
    return await database.optimistic_transaction(lambda: place_orders(requests, ids))


def _line_count(request: OrderRequest) -> int:
    return len(request.lines)


class _BatchData(Struct):
    """What is needed to place a batch. `is_known` means that it was not read just now."""

    ids: list[order_ids.OrderIds]
    stock: inventory.StockReservation
    known: KnownKeys
    is_known: bool


async def place_orders(
    requests: Sequence[OrderRequest], ids: order_ids.IdSupply | None = None
) -> list[PlacedOrder | Exception]:
    """Place these orders, within a transaction; return the outcome of each, in their order.

    On PostgreSQL, a batch needs two round trips: one that reads, and one that writes if nothing has
    changed since then; else the transaction starts again. With a supply of ids, the write also
    takes those of the next batches, which then need not read: if all orders can be placed with what
    this process knows, they are written at once.
    """
    now = datetime.now(UTC)
    data = _known_data(requests, ids) or await _read(requests)
    results = _decide_orders(requests, data, now)
    if data.is_known and any(isinstance(result, Exception) for result in results):
        data = await _read(requests)
        results = _decide_orders(requests, data, now)
    if new := [order for order in results if isinstance(order, _NewOrder)]:
        reach_failpoint("orders.before_commit")
        try:
            await _write(new, data.stock, now, ids)
        except database.RetryTransaction:
            if ids is not None and data.is_known:
                ids.pause()
            raise
    return [
        _public_result(request.user, result)
        for request, result in zip(requests, results, strict=True)
    ]


def _known_data(
    requests: Sequence[OrderRequest], ids: order_ids.IdSupply | None
) -> _BatchData | None:
    """Return the data of a batch if this process has it already.

    It knows no stored answers. If there is one for a key of these requests, nothing is written.
    """
    if (
        ids is None
        or (stock := inventory.known_reservation(_flavors_of(requests))) is None
        or (taken := ids.take(len(requests))) is None
    ):
        return None
    return _BatchData(taken, stock, {}, True)


async def _read(requests: Sequence[OrderRequest]) -> _BatchData:
    """Read the keys and the flavors, and take new ids."""
    flavors = _flavors_of(requests)
    responses, rows, *ids = await database.read_together(
        keys.response_query(request.key for request in requests if request.key),
        inventory.stock_query(flavors),
        *order_ids.id_queries(len(requests)),
    )
    known: KnownKeys = {
        name: (one.fingerprint, one.answer) for name, one in keys.to_responses(responses).items()
    }
    return _BatchData(order_ids.to_ids(ids), inventory.to_reservation(flavors, rows), known, False)


def _flavors_of(requests: Sequence[OrderRequest]) -> set[int]:
    return {flavor for request in requests for flavor in request.lines}


def _decide_orders(
    requests: Sequence[OrderRequest], data: _BatchData, now: datetime
) -> list[PlacementResult]:
    return [
        _decide_order(request, one, data.stock, data.known, now)
        for request, one in zip(requests, data.ids, strict=True)
    ]


def _find_replay(
    key: keys.RequestKey, known: KnownKeys
) -> _Replay | errors.IdempotencyKeyReused | None:
    """Return the answer for a key, if it is known."""
    if key.name not in known:
        return None
    fingerprint, first = known[key.name]
    return _Replay(first) if fingerprint == key.fingerprint else errors.IdempotencyKeyReused()


def _decide_order(
    request: OrderRequest,
    ids: order_ids.OrderIds,
    stock: inventory.StockReservation,
    known: KnownKeys,
    now: datetime,
) -> PlacementResult:
    if request.key is not None and (replay := _find_replay(request.key, known)):
        return replay
    if settings.load().needs_payment_method and not request.method:
        return errors.PaymentMethodRequired()
    try:
        at = request.at or now
        request.details.require_possible_date(at)
        stock.require_allowed(request.lines, settings.local_date(at))
        lines = stock.reserve(request.lines)
    except REFUSALS as refusal:
        return refusal
    new = _NewOrder(
        id=ids.order,
        payment=ids.payment,
        user=request.user,
        lines=lines,
        total=sum(line.total for line in lines),
        key=request.key,
        method=request.method,
        details=request.details,
        at=at,
        recorded_at=now if request.imported else at,
        by=request.by if request.imported else request.user,
    )
    if request.key is not None:
        known[request.key.name] = (request.key.fingerprint, new)
    return new


def _stored_response(key: keys.RequestKey, receipt: OrderReceipt) -> keys.StoredResponse:
    answer = msgspec.json.encode(receipt).decode()
    return keys.StoredResponse(key, answer, receipt.order_id)


def _public_result(customer: int, order: PlacementResult) -> PlacedOrder | Exception:
    if isinstance(order, _NewOrder):
        return PlacedOrder(order.receipt, customer, order.payment if order.total else None)
    if isinstance(order, _Replay):
        return PlacedOrder(order.receipt, customer, replayed=True)
    return order


async def _write(
    new: Sequence[_NewOrder],
    stock: inventory.StockReservation,
    now: datetime,
    ids: order_ids.IdSupply | None,
) -> None:
    """Write the orders with all that belongs to them, and take ids for the next ones.

    The keys come right after the stock: while this waits for another transaction with the same key,
    it holds no locks that others need, except on the counted stock. The changes of totals come
    last: the transaction has written before it takes their ids (`reporting.applying`).

    Raises:
        database.RetryTransaction: another transaction stored one of the keys first, or a flavor has
            changed.
        errors.IdempotencyKeyInUse: another transaction is still carrying the same request out.
    """
    currency = settings.load().currency
    responses = [_stored_response(order.key, order.receipt) for order in new if order.key]
    orders = [
        (
            *(order.id, order.user, order.status, order.total, currency, order.at),
            *(order.details.reference, order.details.note, order.details.delivery_date),
        )
        for order in new
    ]
    lines = [
        (order.id, line.flavor, line.quantity, line.unit_price)
        for order in new
        for line in order.lines
    ]
    charges = [
        attempts.Attempt(order.payment, order.id, order.user, order.total, method=order.method)
        for order in new
        if order.total
    ]
    history = [event for order in new for event in _first_events(order)]
    sales = [totals.Sale(order.user, order.at, order.status, order.lines) for order in new]
    ahead, started_at = ids.count_to_take(len(new)) if ids is not None else 0, time.monotonic()
    try:
        taken = await database.write_together(
            *stock.statements(),
            (_INSERT_ORDERS, orders),
            keys.response_insert(responses, at=now),
            (_INSERT_LINES, lines),
            *attempts.attempt_inserts(charges),
            *order_history.event_inserts(history, at=now),
            *totals.update_statements(sales),
            lock_timeout=keys.LOCK_TIMEOUT_SECONDS if responses else None,
            queries=order_ids.id_queries(ahead) if ahead else (),
        )
    except database.LockTimeout:
        if not responses:
            raise
        raise errors.IdempotencyKeyInUse from None
    if ids is not None and taken:
        ids.add(order_ids.to_ids(taken), taken_at=started_at)


def _first_events(order: _NewOrder) -> list[order_history.OrderEvent]:
    placed = order_history.OrderEvent(
        order.id, "placed", {"total": order.total}, by=order.by, at=order.recorded_at
    )
    paid = order_history.OrderEvent(order.id, "paid", {"amount": 0}, at=order.recorded_at)
    return [placed] if order.total else [placed, paid]
