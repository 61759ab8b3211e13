"""The page of an order for staff: its lines, payments and history, and the possible steps."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State
from msgspec import Struct, convert, structs

from icecream import errors, settings, states
from icecream.http import bodies
from icecream.orders.http import responses
from icecream.pages import access, forms, once, rendering
from icecream.payments import balances
from icecream.payments.http import payments as payments_http
from icecream.payments.http.payments import PaymentView
from icecream.staff import line_refund, order_steps
from icecream.staff.order_steps import OrderStep
from icecream.tables import Event, OrderLine, Payment, User

# The hidden field with the name of the step.
STEP_FIELD = "step"
# The amounts in the history, and what they are.
EVENT_AMOUNTS = {"amount": "", "asked": "asked for ", "moved": "moved "}


class ShownLine(Struct, frozen=True):
    """A line of the order, with the name of its flavor; `left` was not refunded by lines."""

    flavor: int
    name: str
    quantity: int
    unit_price: int
    left: int = 0


class ShownEvent(Struct, frozen=True):
    """An event of the order; `by` is a user's name, or None for the service."""

    type: str
    at: datetime
    by: str | None
    payload: dict[str, Any]


class StaffOrder(Struct):
    """All that the page shows of an order; `left` is the amount that can be refunded."""

    order: responses.OrderDetail
    customer: str
    lines: list[ShownLine]
    events: list[ShownEvent]
    payments: list[PaymentView]
    decisions: dict[int, list[OrderStep]]
    steps: list[OrderStep]
    left: int

    @property
    def all_steps(self) -> list[OrderStep]:
        """The steps of the order, and the decisions about its payments."""
        return [*self.steps, *(step for some in self.decisions.values() for step in some)]


async def read_order(number: int, user: User) -> StaffOrder:
    """Return what the page shows of an order.

    Raises:
        errors.NotFound: there is no such order.
    """
    order = await responses.get_order(number, user=user)
    customer = await User.select(User.username).where(User.id == order.user).first()
    query = Payment.select(*payments_http.COLUMNS).where(Payment.order == number)
    payments = await payments_http.read_payments(query.order_by(Payment.id))
    left = (await balances.read_balance(order)).refundable
    assert customer is not None
    return StaffOrder(
        order=order,
        customer=customer["username"],
        lines=await _read_lines(order),
        events=await _read_events(number),
        payments=payments,
        decisions={one.id: order_steps.payment_steps(one) for one in payments},
        steps=order_steps.order_steps(order, left),
        left=left,
    )


async def _read_lines(order: responses.OrderDetail) -> list[ShownLine]:
    name = OrderLine.flavor.name.as_alias("name")
    columns = OrderLine.flavor, name, OrderLine.quantity, OrderLine.unit_price
    query = OrderLine.select(*columns).where(OrderLine.order == order.id)
    lines = convert(await query.order_by(OrderLine.id), list[ShownLine])
    left = {line.flavor: line_refund.quantity_left(line) for line in order.lines}
    return [structs.replace(line, left=left[line.flavor]) for line in lines]


async def _read_events(order: int) -> list[ShownEvent]:
    by = Event.by.username.as_alias("by")
    query = Event.select(Event.type, Event.at, by, Event.payload).where(Event.order == order)
    return convert(await query.order_by(Event.seq).output(load_json=True), list[ShownEvent])


def _render(
    visitor: access.Visitor,
    shown: StaffOrder,
    *,
    open_step: str | None = None,
    message: str = "",
    error: str = "",
    sent: Mapping[str, Any] | None = None,
    goods: line_refund.LineRefund = line_refund.NOTHING,
    status: int = 200,
) -> Response[str]:
    names = [step.name for step in shown.all_steps]
    page = rendering.render(
        "staff/order.html",
        visitor=visitor,
        shown=shown,
        order=shown.order,
        currency=settings.load().currency,
        event_amounts=EVENT_AMOUNTS,
        open_step=open_step if open_step in names else None,
        message=message,
        error=error,
        sent=sent or {},
        goods=goods,
        flavor_names={line.flavor: line.name for line in shown.lines},
        reason_codes=states.REFUND_REASONS,
        new_key=once.new_key,
    )
    return rendering.html_response(page, status)


@get("/{order:int}/", any_query=True, guards=[bodies.require_exact_ids])
async def show_order(
    request: access.Call, order: bodies.PathId, visitor: access.SignedIn
) -> Response[Any]:
    """Return the page; `do` in its query is the step that it asks about."""
    shown = await read_order(order, visitor.user)
    message = await once.read_message(visitor, request.query_params.get(once.DONE_PARAMETER))
    return _render(visitor, shown, open_step=request.query_params.get("do"), message=message)


@post("/{order:int}/", guards=[bodies.require_exact_ids])
async def change_order(
    request: access.Call, order: bodies.PathId, visitor: access.SignedIn, state: State
) -> Response[Any]:
    """Carry out a step, and open the page again; a refusal is shown on the page."""
    sent = await forms.read_own_fields(request, visitor)
    name = str(sent.get(STEP_FIELD, ""))
    path = f"/staff/orders/{order}/"

    async def work() -> tuple[str, list[int]]:
        step = order_steps.find_step((await read_order(order, visitor.user)).all_steps, name)
        return await step.rule(step.read(_values_of(sent)), visitor.user.id)

    try:
        if name == line_refund.STEP and sent.get(line_refund.BUTTON_FIELD) != "refund":
            return await _ask_for_lines(order, visitor, sent)
        key = await once.carry_out(work, path=path, fields=sent, visitor=visitor, state=state)
    except errors.NotFound:
        raise
    except errors.Refusal as refusal:
        return await _refuse(order, visitor, sent, refusal)
    return rendering.redirect(f"{settings.load().prefix}{path}?{once.DONE_PARAMETER}={key}")


def _values_of(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form asks for: its fields, without those of the form itself."""
    own = (STEP_FIELD, once.KEY_FIELD, line_refund.BUTTON_FIELD)
    return {name: value for name, value in sent.items() if name not in own}


async def _ask_for_lines(
    order: int, visitor: access.Visitor, sent: Mapping[str, Any]
) -> Response[Any]:
    """Show the amount of the chosen lines and ask once, or show the form again.

    Raises:
        errors.Refusal: a field is not valid, or so much cannot be refunded.
    """
    shown = await read_order(order, visitor.user)
    order_steps.find_step(shown.steps, line_refund.STEP)
    goods = line_refund.NOTHING
    if sent.get(line_refund.BUTTON_FIELD) != "edit":
        goods = await line_refund.check(order, _values_of(sent), left=shown.left)
    return _render(visitor, shown, open_step=line_refund.STEP, sent=sent, goods=goods)


async def _refuse(
    order: int, visitor: access.Visitor, sent: Mapping[str, Any], refusal: errors.Refusal
) -> Response[Any]:
    """Show the page again, with the words of the refusal in the question or at a field."""
    shown, name = await read_order(order, visitor.user), str(sent.get(STEP_FIELD, ""))
    goods = line_refund.NOTHING
    if name == line_refund.STEP:
        goods = line_refund.explain(refusal, _values_of(sent))
    return _render(
        visitor,
        shown,
        open_step=name,
        error=refusal.detail if not goods.problems else "",
        sent=sent,
        goods=goods,
        status=refusal.status,
    )


router = access.router("/staff/orders", [show_order, change_order], staff=True)
