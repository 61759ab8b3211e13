"""How a payment ends: by a definite answer, once; and what that makes of its order."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from msgspec import Struct
from piccolo.columns import Column

from icecream import attempts, books, database, errors, events, money, states
from icecream.failpoints import reach
from icecream.gateway import Answer, Charge, Declined, Succeeded, failures
from icecream.payments.claims import Claim, Late
from icecream.tables import KINDS, Job, Order, OrderLine, Payment

COLUMNS = (
    Order.id,
    Order.user,
    Order.status,
    Order.total,
    Order.refunded,
    Order.cancel_requested,
    Order.created_at,
)


class Parked(Struct, frozen=True):
    """Neither a yes nor a no that we can believe: a person has to look.

    `moved` and `reference` are what the provider says, if anything.
    """

    reason: str
    reference: str | None = None
    moved: int | None = None


class Verdict(Struct, frozen=True):
    """What is known of a payment for certain; `by` is the operator who said so.

    `at` is since when, if not from now on.
    """

    claim: Claim
    answer: Answer | Parked
    by: int | None = None
    at: datetime | None = None

    @property
    def believed(self) -> Answer | Parked:
        """What it says, unless something else was moved than we asked for."""
        asked, answer = self.claim.request, self.answer
        if not isinstance(answer, Succeeded):
            return answer
        if (answer.amount, answer.currency) == (asked.amount, asked.currency):
            return answer
        moved, wanted = (money.text(one.amount, one.currency) for one in (answer, asked))
        said = f"{moved} instead of {wanted}"
        return Parked(f"The provider moved {said}.", answer.reference, answer.amount)


class Turn(Struct):
    """What becomes of an order: the statuses that it enters, one after the other.

    `refunded` is added to what was, `refund` is to be given back next, and `back` says that its
    stock is returned. `at` is when it happens, if not now.
    """

    order: dict[str, Any]
    happened: list[events.Happened]
    path: list[str] = msgspec.field(default_factory=list)
    refunded: int = 0
    refund: int = 0
    back: bool = False
    cancel_requested: bool = False
    at: datetime | None = None

    @property
    def status(self) -> str:
        """The last of them."""
        return self.path[-1] if self.path else str(self.order["status"])

    def enter(self, status: str, by: int | None = None, **about: Any) -> None:
        """Enter one more status, which is told in the order's history."""
        states.check(states.ORDER, self.status, status)
        self.path.append(status)
        self.tell(status, by, **about)

    def tell(self, kind: str, by: int | None = None, **about: Any) -> None:
        """Add to the order's history."""
        self.happened.append(events.Happened(self.order["id"], kind, about, by, self.at))


def turn(order: dict[str, Any], at: datetime | None = None) -> Turn:
    """An order, of which nothing has become yet; what will happens `at` that moment, or now."""
    return Turn(order, [], cancel_requested=order["cancel_requested"], at=at)


async def settle(verdicts: Sequence[Verdict]) -> list[bool]:
    """Write what is certain: payment, order, history, totals, and stock back where it goes back.

    A definite answer counts whoever brings it; False means that somebody brought it before.

    Raises:
        Late: some of several were brought before, and nothing was written.
    """
    try:
        await database.transaction(lambda: write(verdicts))
    except Late:
        if len(verdicts) > 1:
            raise
        return [False]
    return [True] * len(verdicts)


async def write(verdicts: Sequence[Verdict]) -> None:
    """Write what is certain, within a transaction.

    Raises:
        Late: somebody did before.
    """
    held = await hold([one.claim.order for one in verdicts])
    if len(held) < len(verdicts):
        raise Late
    await drop_jobs([one.claim.payment for one in verdicts])
    for order in held.values():
        if order["status"] == "canceled":
            order["surplus"] = await _surplus(order["id"])
    believed = [(one, one.believed) for one in verdicts]
    for kind, entering in _ENTERING.items():
        await _enter(entering, [(one, said) for one, said in believed if isinstance(said, kind)])
    turns = [_turn(one, answer, held[one.claim.order]) for one, answer in believed]
    await apply(turns, await return_stock(turns))
    reach("payments.settling")


async def hold(orders: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Orders by id, held: whatever is decided about one is decided by its holder."""
    query = Order.select(*COLUMNS).where(Order.id.is_in(sorted(set(orders)))).order_by(Order.id)
    return {row["id"]: row for row in await database.locked(query)}


async def drop_jobs(payments: Sequence[int]) -> None:
    """Nothing is to be done for these payments any more."""
    ours = Job.kind.is_in(list(KINDS))
    await Job.delete().where(ours, Job.subject.is_in(sorted(payments)))


def _turn(verdict: Verdict, answer: Answer | Parked, order: dict[str, Any]) -> Turn:
    new = turn(order, verdict.at)
    about = {"payment": verdict.claim.payment} | {
        name: value for name, value in msgspec.structs.asdict(answer).items() if value is not None
    }
    if isinstance(answer, Declined) and verdict.by is None:
        # What the provider said is for staff, beside the payment; the history is for everybody.
        about["reason"] = failures.message(answer.code)
    if isinstance(answer, Parked):
        new.tell("parked", verdict.by, **about)
    elif isinstance(verdict.claim.request, Charge):
        _charged(new, isinstance(answer, Succeeded), verdict.by, about)
    else:
        _given_back(new, answer, verdict, about)
    if new.status == "paid" and new.cancel_requested and not isinstance(answer, Parked):
        begin_refund(new)
    return new


def _charged(new: Turn, well: bool, by: int | None, about: dict[str, Any]) -> None:
    new.enter("paid" if well else "failed", by, **about)
    if not well:
        new.back, new.cancel_requested = True, False


def _given_back(new: Turn, answer: Answer, verdict: Verdict, about: dict[str, Any]) -> None:
    whole = new.status == "refunding"
    if isinstance(answer, Declined):
        new.tell("refund-declined", verdict.by, **about)
        if whole:
            new.cancel_requested = False
            new.enter("paid", verdict.by)
    elif whole:
        new.refunded = new.order["total"] - new.order["refunded"]
        new.back = new.cancel_requested
        new.enter("canceled" if new.cancel_requested else "refunded", verdict.by, **about)
    else:
        left = new.order["total"] - new.order["refunded"]
        # The rest of a canceled order is all that the provider has, if it charged another amount.
        is_rest = answer.amount == left + new.order.get("surplus", 0)
        new.refunded = left if is_rest else min(answer.amount, left)
        new.tell("partly-refunded", verdict.by, **about)


def begin_refund(new: Turn, by: int | None = None, **about: Any) -> None:
    """Give back all that is left of an order that was paid."""
    new.refund = new.order["total"] - new.order["refunded"] - new.refunded
    new.enter("refunding", by, **about)
    if not new.refund:
        # Of nothing there is nothing to be given back.
        new.back = new.cancel_requested
        new.enter("canceled" if new.cancel_requested else "refunded", by)


async def return_stock(turns: Sequence[Turn]) -> dict[int, list[books.Line]]:
    """Give the stock back where it goes back; the lines of all these orders."""
    lines = await _lines([one.order["id"] for one in turns])
    await books.give_back([line for one in turns if one.back for line in lines[one.order["id"]]])
    return lines


async def _lines(orders: Sequence[int]) -> dict[int, list[books.Line]]:
    lines: dict[int, list[books.Line]] = {order: [] for order in orders}
    line = OrderLine
    columns = (line.id, line.order, line.flavor, line.quantity, line.unit_price, line.refunded)
    for row in await line.select(*columns).where(line.order.is_in(sorted(lines))).order_by(line.id):
        lines[row.pop("order")].append(books.Line(**row))
    return lines


def _entering(state: str, column: Column) -> database.Statement:
    # What has ended stays so for every answer; a refund that fails later is no answer to a call.
    unfinished = states.unfinished(states.PAYMENT)
    among = [one for one in states.before(states.PAYMENT, state) if one in unfinished]
    return database.enter(Payment.state, state, among=among, column=column)


_ENTERING: dict[type, database.Statement] = {
    Succeeded: _entering("succeeded", Payment.provider_ref),
    Declined: _entering("declined", Payment.last_error),
    Parked: _entering("parked", Payment.last_error),
}


async def _enter(
    entering: database.Statement, ending: Sequence[tuple[Verdict, Answer | Parked]]
) -> None:
    rows = [
        (one.claim.payment, said.reference if isinstance(said, Succeeded) else said.reason)
        for one, said in ending
    ]
    if len(await entering(rows)) < len(rows):
        raise Late
    for one, said in ending:
        if isinstance(said, Parked) and said.reference is not None:
            await Payment.update(
                {Payment.provider_ref: said.reference, Payment.moved: said.moved}
            ).where(Payment.id == one.claim.payment)
    await _say_why(
        [(one.claim.payment, said) for one, said in ending if isinstance(said, Declined)]
    )


async def _say_why(declined: Sequence[tuple[int, Declined]]) -> None:
    payments: dict[str, list[int]] = {}
    for payment, said in declined:
        payments.setdefault(said.code, []).append(payment)
    for code, alike in payments.items():
        await Payment.update({Payment.failure: code}).where(Payment.id.is_in(alike))


async def apply(turns: Sequence[Turn], lines: dict[int, list[books.Line]]) -> list[int]:
    """Write what became of orders that are held; the refunds that are to be carried out next."""
    now = datetime.now(UTC)
    await _move_orders(turns)
    staged = [await _stage_refund(one) for one in turns if one.refund]
    await events.record([line for one in turns for line in one.happened], at=now)
    await _count(turns, lines)
    return staged


async def _count(turns: Sequence[Turn], lines: dict[int, list[books.Line]]) -> None:
    """Let the totals follow, and give each line its part of what was given back."""
    come, gone, parts = [], [], list[books.Line]()
    for one in turns:
        before = after = lines[one.order["id"]]
        if one.refunded:
            after = books.share(before, one.order["refunded"] + one.refunded)
            parts += after
        if one.refunded or one.status != one.order["status"]:
            whose = one.order["user"], one.order["created_at"]
            come.append(books.Sale(*whose, one.status, after))
            gone.append(books.Sale(*whose, one.order["status"], before))
    await books.save_shares(parts)
    await books.count(come, gone)


async def _move_orders(turns: Sequence[Turn]) -> None:
    """Those that change alike are changed at once."""
    alike: dict[tuple[str, int, bool], list[int]] = {}
    for one in turns:
        change = (one.status, one.refunded, one.cancel_requested)
        if change != (one.order["status"], 0, one.order["cancel_requested"]):
            alike.setdefault(change, []).append(one.order["id"])
    for (status, refunded, cancel_requested), orders in alike.items():
        await Order.update(
            {
                Order.status: status,
                Order.refunded: Order.refunded + refunded,
                Order.cancel_requested: cancel_requested,
            }
        ).where(Order.id.is_in(sorted(orders)))


async def _stage_refund(one: Turn) -> int:
    order: int = one.order["id"]
    n = await attempts.next_n(order, "refund")
    # What the provider moved goes back, also where it was not what we asked for.
    amount = one.refund + await _surplus(order)
    staged = await attempts.stage([attempts.Attempt(order, one.order["user"], amount, "refund", n)])
    return staged[order]


async def _surplus(order: int) -> int:
    """How much more the provider charged for an order than we asked for; mostly nothing."""
    charge = (
        await Payment.select(Payment.amount, Payment.moved)
        .where(Payment.order == order, Payment.kind == "charge", Payment.state == "succeeded")
        .first()
    )
    if charge is None or charge["moved"] is None:
        return 0
    surplus: int = charge["moved"] - charge["amount"]
    return surplus


async def held(order: int) -> dict[str, Any]:
    """One order, held.

    Raises:
        errors.NotFound: there is none.
    """
    rows = await hold([order])
    if order not in rows:
        raise errors.NotFound
    return rows[order]
