"""What staff can do with an order now: each step with its question, its fields and its rule."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from icecream import errors, states
from icecream.fulfilment import transitions
from icecream.orders.http import form_actions, responses
from icecream.orders.http.form_actions import OptionalReason
from icecream.pages import amounts, forms
from icecream.payments.http import decisions
from icecream.payments.http.payments import PaymentView
from icecream.staff import line_refund

# The fields of a step that its form shows.
REASON, OPTIONAL_REASON, AMOUNT, REFERENCE = "reason", "optional_reason", "amount", "reference"
LINES = "lines"
Rule = Callable[[Any, int], Awaitable[form_actions.FormResult]]


class OrderStep(Struct):
    """A step: its name, the label of its button, what will happen, and its rule.

    `rule` gets the fields as `body` and the id of the user.
    """

    name: str
    label: str
    effect: str
    rule: Rule
    body: type[Any] = form_actions.NoFields
    inputs: tuple[str, ...] = ()

    def read(self, values: Mapping[str, Any]) -> Any:
        """Return the fields of the form as the body for the rule.

        Raises:
            errors.ValidationFailed: a field is not valid.
        """
        if LINES in self.inputs:
            return line_refund.read(values)
        return forms.convert_fields(values, self.body)


class FulfilmentWords(Struct, frozen=True):
    """The label of a step to a state of fulfilment, and what it means."""

    label: str
    effect: str


# By the states before and after the step.
FULFILMENT_STEPS = {
    ("unfulfilled", "packed"): FulfilmentWords("Mark packed", "The goods wait for their delivery."),
    ("packed", "delivered"): FulfilmentWords("Mark delivered", "The customer has the goods."),
    ("packed", "unfulfilled"): FulfilmentWords("Unpack", "The goods are back in the store."),
    ("delivered", "returned"): FulfilmentWords(
        "Mark returned", "The goods came back. The stock and the payment do not change."
    ),
    ("delivered", "packed"): FulfilmentWords("Not delivered", "The goods wait here after all."),
    ("returned", "delivered"): FulfilmentWords("Not returned", "The customer has the goods."),
}


def order_steps(order: responses.OrderDetail, left: int) -> list[OrderStep]:
    """Return the steps of an order: its fulfilment first, and then its payment.

    `left` is the amount that can still be refunded, in minor units.
    """
    return [*_fulfilment_steps(order), *_money_steps(order, left)]


def _fulfilment_steps(order: responses.OrderDetail) -> list[OrderStep]:
    current, is_for_money = order.fulfilment, order.status not in states.DELIVERABLE_STATUSES
    found = []
    for to in states.FULFILMENT[current]:
        if (current, to) in states.STEPS_FOR_MONEY and (is_for_money or order.cancel_requested):
            continue
        words = FULFILMENT_STEPS[current, to]
        rule = partial(_move, order.id, to)
        found.append(
            OrderStep(to, words.label, words.effect, rule, OptionalReason, (OPTIONAL_REASON,))
        )
    return found


async def _move(order: int, to: str, body: OptionalReason, by: int) -> form_actions.FormResult:
    """Move one order.

    Raises:
        StepRefused: it cannot move.
    """
    result = await transitions.move(
        [order], to, by=by, reason=body.reason, internal_note=body.internal_note
    )
    if result.refused:
        raise StepRefused(result.refused[0].detail)
    return f"Order {order} is {to}.", []


class StepRefused(errors.Refusal):
    """This step is not possible now."""

    status = 409


def _money_steps(order: responses.OrderDetail, left: int) -> list[OrderStep]:
    shown, number = amounts.show(left), order.id
    steps = {
        "pay": OrderStep(
            "pay",
            "Pay again",
            f"{amounts.show(order.total)} are charged to the customer's payment method again, at "
            "the prices of the order. The stock is reserved again.",
            partial(form_actions.pay_order, number),
        ),
        line_refund.STEP: OrderStep(
            line_refund.STEP,
            "Refund lines",
            "For goods that melted, are missing or came back. The next page shows the amount.",
            partial(line_refund.carry_out, number),
            inputs=(LINES,),
        ),
        "refund": OrderStep(
            "refund",
            "Refund an amount",
            f"The customer gets the amount back. {shown} of {amounts.show(order.total)} are left. "
            "The stock does not change.",
            partial(form_actions.refund_order, number),
            form_actions.RefundFields,
            (AMOUNT, REASON),
        ),
        "cancel": OrderStep(
            "cancel",
            "Cancel the order",
            f"{shown} are refunded, and then the goods are back in stock."
            if left
            else "The order is not charged, or is refunded as soon as its charge has ended. The "
            "goods are back in stock.",
            partial(form_actions.cancel_order, number),
            OptionalReason,
            (OPTIONAL_REASON,),
        ),
    }
    names = set(order.actions)
    if "refund" in names and left and line_refund.has_open_line(order.lines):
        names.add(line_refund.STEP)
    return [steps[name] for name in ("pay", line_refund.STEP, "refund", "cancel") if name in names]


def payment_steps(payment: PaymentView) -> list[OrderStep]:
    """Return the decisions about a parked payment."""
    moved = amounts.show(payment.moved or 0)
    why = decisions.Why
    steps = {
        "retry": OrderStep(
            "retry",
            "Look it up again",
            "The provider is asked about the payment again, by its reference or by our key. "
            "Nothing is charged twice.",
            partial(form_actions.retry_payment, payment.id),
            decisions.Retry,
            (REFERENCE, REASON),
        ),
        "release": OrderStep(
            "release",
            "No money moved",
            "The payment counts as declined. Look into the provider's list first.",
            partial(form_actions.release_payment, payment.id),
            why,
            (REASON,),
        ),
        "refund": OrderStep(
            "refund",
            "Accept and refund",
            f"The charge of {moved} counts as paid, all of it is refunded, and the order is "
            "canceled.",
            partial(form_actions.refund_parked, payment.id),
            why,
            (REASON,),
        ),
        "book": OrderStep(
            "book",
            "Book the refund",
            f"{moved} count as refunded, and the rest can be refunded.",
            partial(form_actions.book_refund, payment.id),
            why,
            (REASON,),
        ),
    }
    found = [steps[name] for name in payment.actions]
    for step in found:
        # A page has the decisions about several payments.
        step.name = f"{step.name}-{payment.id}"
    return found


def find_step(steps: Sequence[OrderStep], name: str) -> OrderStep:
    """Return the step with a name.

    Raises:
        StepRefused: the order has changed since its page was opened.
    """
    for step in steps:
        if step.name == name:
            return step
    raise StepRefused("This is no longer possible: the order has changed. Here is its new state.")
