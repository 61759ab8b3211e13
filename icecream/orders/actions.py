"""Requests about an order after it is placed: cancel it, pay it again, refund money."""

from datetime import datetime

from icecream import database, errors, money, settings, states
from icecream.catalogue import inventory
from icecream.feed import order_history
from icecream.feed.order_history import Details
from icecream.orders import refunded_goods
from icecream.orders.refunded_goods import NO_GOODS, RefundedGoods
from icecream.payments import attempts, balances, order_transitions, refunded_lines
from icecream.tables import Job, OrderLine, Payment, User


async def cancel_order(
    order: int,
    *,
    by: int,
    reason: str | None = None,
    internal_note: str | None = None,
    at: datetime | None = None,
) -> list[int]:
    """Cancel an order: at once if its charge was never sent, otherwise after the charge ended.

    The paid amount is refunded, and then the stock is released. Repeating a cancellation has no
    further effect. `at` is the time of the cancellation, if not now.

    Returns:
        The payments to be carried out now.

    Raises:
        errors.InvalidTransition: it failed, or was refunded.
        errors.AlreadyPacked: its goods are packed, or have left.
        errors.AlreadyRestocked: some of its goods were put back into the stock.
    """
    why = order_history.explanation(reason, internal_note)
    return await database.transaction(lambda: _cancel(order, by, at, why))


async def _cancel(order: int, by: int, at: datetime | None, why: Details) -> list[int]:
    row = await order_transitions.lock_order(order)
    if row.status not in (*states.ACTIONS["cancel"].sources, "canceled"):
        raise errors.InvalidTransition(row.status, "canceled", states.ORDER[row.status])
    if row.status == "canceled" or row.cancel_requested:
        return []
    if row.fulfilment != states.CANCELABLE_FULFILMENT:
        raise errors.AlreadyPacked(f"The order is {row.fulfilment}.", fulfilment=row.fulfilment)
    # The end of a cancellation returns all of the stock.
    if await refunded_lines.read_restocked(order):
        raise errors.AlreadyRestocked
    transition = order_transitions.begin_transition(row, at)
    if row.status == "pending" and await _void_charge(order):
        transition.end_payment("charge", "void", row.total)
        transition.releases_stock = True
        transition.enter("canceled", by, **why)
    else:
        transition.cancel_requested = True
        transition.add_event("cancel-requested", by, **why)
        if row.status == "paid" and not await balances.has_open_refund(order):
            order_transitions.start_refund(transition, await balances.read_balance(row), by)
    return await order_transitions.apply_transitions([transition])


async def _void_charge(order: int) -> bool:
    """Void the charge, unless it may have been sent."""
    rows = await Payment.select(Payment.id).where(Payment.order == order, Payment.state == "new")
    if not rows:
        return False
    payment: int = rows[0]["id"]
    # A worker that leases the payment locks the job while it sets the payment to `sent`. The second
    # of the two transactions sees the change of the first one.
    await database.for_no_key_update(
        Job.select(Job.id).where(Job.kind == "charge", Job.subject == payment)
    )
    voided = (
        await Payment.update({Payment.state: "void"})
        .where(
            Payment.id == payment,
            Payment.state.is_in(list(states.sources_of(states.PAYMENT, "void"))),
        )
        .returning(Payment.id)
    )
    if voided:
        await attempts.delete_jobs([payment])
    return bool(voided)


async def pay_order(order: int, *, by: int, needs_method: bool) -> list[int]:
    """Charge a failed order again; a pending or paid order does not change.

    The stock is reserved again, and the prices stay the same.

    Returns:
        The payments to be carried out now.

    Raises:
        errors.InvalidTransition: it was canceled or refunded.
        errors.InsufficientStock: there is not enough stock left.
        errors.FlavorArchived: one of the flavors is no longer sold.
        errors.PaymentMethodRequired: the user has no payment method.
    """
    return await database.transaction(lambda: _pay(order, by, needs_method))


async def _pay(order: int, by: int, needs_method: bool) -> list[int]:
    row = await order_transitions.lock_order(order)
    if row.status in ("pending", "paid"):
        return []
    if row.status not in states.ACTIONS["pay"].sources:
        raise errors.InvalidTransition(row.status, "pending", states.ORDER[row.status])
    method = await _payment_method(row.user, needs_method)
    lines = await OrderLine.select(OrderLine.flavor, OrderLine.quantity).where(
        OrderLine.order == order
    )
    stock = await inventory.read_stock([line["flavor"] for line in lines])
    try:
        stock.reserve({line["flavor"]: line["quantity"] for line in lines})
    except inventory.UnknownFlavor as error:
        raise errors.FlavorArchived(f"Flavor {error.flavor} is no longer sold.") from None
    await database.write_together(*stock.statements())
    transition = order_transitions.begin_transition(row)
    transition.enter("pending", by)
    payment = await attempts.stage_attempt(order, row.user, row.total, "charge", method=method)
    await order_transitions.apply_transitions([transition])
    return [payment]


async def _payment_method(user: int, needed: bool) -> str | None:
    rows = await User.select(User.payment_method).where(User.id == user)
    method: str | None = rows[0]["payment_method"]
    if needed and not method:
        raise errors.PaymentMethodRequired
    return method


async def refund_order(
    order: int,
    amount: int | None,
    *,
    reason: str,
    by: int,
    internal_note: str | None = None,
    at: datetime | None = None,
    goods: RefundedGoods = NO_GOODS,
) -> list[int]:
    """Refund part of what was paid for an order, or all that is left, within a transaction.

    `at` is the time of the refund, if not now. The lines of `goods` replace an amount.

    Returns:
        The payments to be carried out now.

    Raises:
        errors.NotFound: there is no such order.
        errors.InvalidTransition: it is neither paid nor canceled with money left to refund.
        errors.RefundTooLarge: there is less left.
        errors.RefundInProgress: another refund is in progress.
        errors.ValidationFailed: there is no such line, or its goods cannot be put back.
    """
    row = await order_transitions.lock_order(order)
    if row.status not in states.ACTIONS["refund"].sources and not await balances.has_money_left(
        row
    ):
        raise errors.InvalidTransition(row.status, "refunded", states.ORDER[row.status])
    if await balances.has_open_refund(order):
        raise errors.RefundInProgress()
    balance, chosen = await balances.read_balance(row), await refunded_goods.choose(order, goods)
    amount = chosen.amount or amount
    wanted = balance.refundable if amount is None else amount
    if wanted > balance.refundable or not balance.held:
        raise errors.RefundTooLarge(
            f"Only {money.format_amount(balance.refundable, settings.load().currency)} is left.",
            left=balance.refundable,
        )
    transition, moved = order_transitions.begin_transition(row, at), balance.amount_to_move(wanted)
    details: Details = {"amount": moved, **chosen.details}
    details |= order_history.explanation(reason, internal_note)
    await chosen.put_back(row, why=goods.reason_code or reason, by=by, at=at)
    if wanted == balance.refundable and row.status == "paid":
        order_transitions.start_refund(transition, balance, by, **details)
    else:
        transition.refund = moved
        transition.add_event("refund-requested", by, **details)
    (payment,) = await order_transitions.apply_transitions([transition])
    await chosen.record(payment)
    return [payment]
