"""Placing orders: orders that arrive together are written together, in one transaction."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Struct

from icecream import database, errors, settings
from icecream.catalogue import inventory, order_lines
from icecream.database import batching
from icecream.feed import order_history
from icecream.idempotency import keys
from icecream.payments import attempts
from icecream.reporting import totals
from icecream.runtime import instrumentation, logs
from icecream.runtime.failpoints import reach
from icecream.tables import Order, OrderLine

log = logging.getLogger(__name__)
# The maximum number of order lines in one transaction, and of orders that may wait.
MAX_LINES_PER_BATCH, MAX_QUEUED_ORDERS = 100, 2000
REFUSALS = (inventory.UnknownFlavor, errors.Refusal)


class NotifyWorkers(Protocol):
    """Notifies the workers of payments; `customers` may follow in the same order."""

    def __call__(
        self, payments: list[int], customers: Sequence[int] = ()
    ) -> Coroutine[Any, Any, None]: ...


class OrderRequest(Struct, frozen=True):
    """An order to be placed: quantities by flavor id, with an optional Idempotency-Key.

    `method` is the payment method, which the provider may require. `at` is the time of the order,
    if not now.
    """

    user: int
    lines: dict[int, int]
    key: keys.RequestKey | None = None
    method: str | None = None
    at: datetime | None = None


class OrderReceipt(Struct):
    """The order is stored and will be paid."""

    status: Literal["Order placed"]
    order_id: Annotated[int, Meta(ge=1, le=2**63 - 1)]


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
    """The intake of orders.

    Args:
        ring: notifies the workers of payments to be charged; called after the commit.
    """

    def __init__(self, ring: NotifyWorkers) -> None:
        self._ring = ring
        self._line = batching.Batches(
            place_in_transaction,
            of="orders",
            most=MAX_LINES_PER_BATCH,
            room=MAX_QUEUED_ORDERS,
            weight=_line_count,
            done=self._placed,
        )
        self._ringing: set[asyncio.Task[None]] = set()

    async def place(
        self,
        user: int,
        lines: dict[int, int],
        key: keys.RequestKey | None = None,
        method: str | None = None,
    ) -> PlacedOrder:
        """Order these quantities, by flavor id, for a user.

        When this returns, the order is on disk, together with its lines, its payment, the job that
        will charge it, its history, its part of the totals, and its key. An order with a total of 0
        is paid at once. A repeated request under the same key gets the first answer again.

        Raises:
            inventory.UnknownFlavor: a flavor does not exist, or is no longer sold.
            errors.InsufficientStock: there is less stock left than ordered.
            errors.IdempotencyKeyReused: the key came with another request.
            errors.PaymentMethodRequired: the user has no payment method.
            errors.Unavailable: too many orders are waiting.
            database.Unsettled: it is unknown whether the order was placed.
        """
        try:
            return await self._line.ask(OrderRequest(user, lines, key, method))
        except (*REFUSALS, *database.AWAY) as error:
            instrumentation.ordered(_refusal_code(error))
            raise

    def _placed(self, outcomes: Sequence[PlacedOrder | Exception]) -> None:
        """Count the orders, and notify the workers, after the commit."""
        reach("intake.committed")
        placed = [one for one in outcomes if isinstance(one, PlacedOrder)]
        if staged := {one.payment: one.customer for one in placed if one.payment}:
            # The notification is not awaited: it only makes payments faster. The jobs in the
            # database make them certain.
            ringing = asyncio.create_task(self._bell(staged))
            self._ringing.add(ringing)
            ringing.add_done_callback(self._ringing.discard)
        replayed = sum(one.replayed for one in placed)
        instrumentation.ordered("placed", len(placed) - replayed)
        instrumentation.ordered("replayed", replayed)

    async def _bell(self, staged: dict[int, int]) -> None:
        reach("intake.ringing")
        with logs.contained(log, "Ringing for new payments"):
            await self._ring(list(staged), list(staged.values()))

    async def close(self) -> None:
        """Accept no more orders, and finish those that were accepted."""
        await self._line.close()
        await asyncio.gather(*self._ringing)


def _refusal_code(error: Exception) -> str:
    """Return the reason why there is no order, as a code."""
    if isinstance(error, inventory.UnknownFlavor):
        return "unknown-flavor"
    return error.code if isinstance(error, errors.Refusal) else errors.Unavailable.code


class _NewOrder(Struct):
    """An order that is being placed."""

    user: int
    lines: list[order_lines.Line]
    total: int
    key: keys.RequestKey | None
    method: str | None
    at: datetime
    id: int = 0
    payment: int | None = None

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
        Order.user,
        Order.status,
        Order.total,
        Order.refunded,
        Order.currency,
        Order.cancel_requested,
        Order.created_at,
    ),
    returning=(Order.id, Order.user, Order.total, Order.created_at),
)
_INSERT_LINES = database.insert(
    OrderLine, (OrderLine.order, OrderLine.flavor, OrderLine.quantity, OrderLine.unit_price)
)


async def place_in_transaction(calls: list[OrderRequest]) -> list[PlacedOrder | Exception]:
    """Place these orders in a transaction; nothing follows its COMMIT, as it may be repeated."""
    return await database.transaction(lambda: place_orders(calls))


def _line_count(call: OrderRequest) -> int:
    return len(call.lines)


async def place_orders(calls: Sequence[OrderRequest]) -> list[PlacedOrder | Exception]:
    """Place these orders, within a transaction; return the outcome of each, in their order."""
    now = datetime.now(UTC)
    known = await _find_known_keys([call.key for call in calls if call.key])
    fresh = [call for call in calls if call.key is None or call.key.name not in known]
    stock = await inventory.lock_stock({flavor for call in fresh for flavor in call.lines})
    outcomes = [_decide_order(call, stock, known, now) for call in calls]
    outcomes = await _replay_late_orders(calls, outcomes)
    if new := [one for one in outcomes if isinstance(one, _NewOrder)]:
        await stock.save()
        await _write_orders(new, now)
        await keys.store_responses(
            [_stored_response(one.key, one.receipt) for one in new if one.key], at=now
        )
        reach("intake.before_commit")
    return [_public_result(call.user, one) for call, one in zip(calls, outcomes, strict=True)]


async def _find_known_keys(asked: Sequence[keys.RequestKey]) -> KnownKeys:
    kept = await keys.find_responses(asked)
    return {name: (one.fingerprint, one.answer) for name, one in kept.items()}


async def _replay_late_orders(
    calls: Sequence[OrderRequest], outcomes: list[PlacementResult]
) -> list[PlacementResult]:
    """Replay orders that another process placed under the same key while this one waited for locks.

    That process may have taken the last stock, so that the same order was refused here.
    """
    refused = {
        n: call.key
        for n, (call, outcome) in enumerate(zip(calls, outcomes, strict=True))
        if call.key and isinstance(outcome, Exception)
    }
    known = await _find_known_keys(list(refused.values()))
    again = {n: _find_replay(key, known) for n, key in refused.items()}
    return [again.get(n) or outcome for n, outcome in enumerate(outcomes)]


def _find_replay(
    key: keys.RequestKey, known: KnownKeys
) -> _Replay | errors.IdempotencyKeyReused | None:
    """Return the answer for a key, if it is known."""
    if key.name not in known:
        return None
    fingerprint, first = known[key.name]
    return _Replay(first) if fingerprint == key.fingerprint else errors.IdempotencyKeyReused()


def _decide_order(
    call: OrderRequest, stock: inventory.StockReservation, known: KnownKeys, now: datetime
) -> PlacementResult:
    if call.key is not None and (again := _find_replay(call.key, known)):
        return again
    if settings.load().needs_payment_method and not call.method:
        return errors.PaymentMethodRequired()
    try:
        lines = stock.reserve(call.lines)
    except REFUSALS as refusal:
        return refusal
    total = sum(line.total for line in lines)
    new = _NewOrder(call.user, lines, total, call.key, call.method, call.at or now)
    if call.key is not None:
        known[call.key.name] = (call.key.fingerprint, new)
    return new


def _stored_response(key: keys.RequestKey, receipt: OrderReceipt) -> keys.StoredResponse:
    answer = msgspec.json.encode(receipt).decode()
    return keys.StoredResponse(key, answer, receipt.order_id)


def _public_result(customer: int, one: PlacementResult) -> PlacedOrder | Exception:
    if isinstance(one, _NewOrder):
        return PlacedOrder(one.receipt, customer, one.payment)
    return PlacedOrder(one.receipt, customer, replayed=True) if isinstance(one, _Replay) else one


async def _write_orders(new: Sequence[_NewOrder], now: datetime) -> None:
    currency = settings.load().currency
    rows = await _INSERT_ORDERS(
        [(one.user, one.status, one.total, 0, currency, False, one.at) for one in new]
    )
    # The rows may be returned in any order: rows with the same user, total and time are equal.
    ids: dict[tuple[int, int, datetime], list[int]] = {}
    for row in sorted(rows, key=lambda row: row["id"], reverse=True):
        ids.setdefault((row["user"], row["total"], row["created_at"]), []).append(row["id"])
    for one in new:
        one.id = ids[one.user, one.total, one.at].pop()
    lines = [
        (one.id, line.flavor, line.quantity, line.unit_price) for one in new for line in one.lines
    ]
    history = [line for one in new for line in _first_events(one)]
    charges = [
        attempts.Attempt(one.id, one.user, one.total, method=one.method) for one in new if one.total
    ]
    rows = await database.together((_INSERT_LINES, lines), attempts.payment_insert(charges))
    await order_history.begin(history, at=now)
    payments = {row["order"]: row["id"] for row in rows}
    for one in new:
        one.payment = payments.get(one.id)
    sales = [totals.Sale(one.user, one.at, one.status, one.lines) for one in new]
    await database.together(attempts.job_insert(charges, payments), *totals.counted(sales))


def _first_events(one: _NewOrder) -> list[order_history.Happened]:
    placed = order_history.Happened(one.id, "placed", {"total": one.total}, by=one.user, at=one.at)
    paid = order_history.Happened(one.id, "paid", {"amount": 0}, at=one.at)
    return [placed] if one.total else [placed, paid]
