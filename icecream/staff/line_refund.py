"""The refund of lines of an order: a form, a question with the amount, and the refund itself."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from icecream import conversion, database, errors
from icecream.orders import actions, refunded_goods
from icecream.orders.http import form_actions
from icecream.orders.http.actions import NewRefund
from icecream.orders.http.responses import LineView
from icecream.pages import amounts

STEP = "refund-lines"
# The pressed button: `refund` is the confirmation, `edit` leads back to the form.
BUTTON_FIELD = "button"
# The field with the quantity of a flavor.
QUANTITY = "quantity-"
LABELS = {
    "reason": "What happened",
    "internal_note": "The internal note",
    "reason_code": "The reason",
}
# All fields but the quantities, and the place for problems with all lines.
OWN_FIELDS = ("lines", "reason", "internal_note", "reason_code", "restock")
ALREADY_BACK = "Some of these goods were put back before. Clear this box."


class ChosenLine(Struct, frozen=True):
    """A quantity of a flavor that will be refunded."""

    flavor: int
    quantity: int


class LineRefund(Struct, frozen=True):
    """What the page shows of a refund of lines: the problems of its fields, or its amount.

    `amount` is None until all fields are valid; `lines` and `restock` are what will be refunded.
    """

    problems: Mapping[str, str] = {}
    amount: int | None = None
    lines: Sequence[ChosenLine] = ()
    restock: bool = False


NOTHING = LineRefund()


def quantity_left(line: LineView) -> int:
    """Return the quantity of a line that was not refunded by lines."""
    return line.quantity - (line.refunded_quantity or 0)


def has_open_line(lines: Sequence[LineView]) -> bool:
    """Return whether a line that costs something is left."""
    return any(line.unit_price and quantity_left(line) for line in lines)


def read(values: Mapping[str, Any]) -> NewRefund:
    """Return the refund that a form describes.

    Raises:
        errors.ValidationFailed: a field is not valid.
    """
    lines = [
        {"flavor": name.removeprefix(QUANTITY), "quantity": str(text).strip()}
        for name, text in values.items()
        if _is_quantity(name, text)
    ]
    if not lines:
        detail = "Enter a quantity for at least one line."
        raise errors.ValidationFailed("/lines", "missing", detail)
    if not values.get("reason_code"):
        raise errors.ValidationFailed("/reason_code", "missing", "Choose a reason.")
    others = {name: text for name, text in values.items() if text and not name.startswith(QUANTITY)}
    return conversion.convert_body(others | {"lines": lines}, NewRefund)


def _is_quantity(name: str, text: Any) -> bool:
    return name.startswith(QUANTITY) and str(text).strip() not in ("", "0")


async def check(order: int, values: Mapping[str, Any], *, left: int) -> LineRefund:
    """Return the amount and the lines of a form, to be confirmed; `left` can be refunded.

    Raises:
        errors.Refusal: a field is not valid, or so much cannot be refunded.
    """
    refund = read(values)
    chosen = await refunded_goods.choose(order, refund.goods)
    amount = chosen.amount
    assert amount is not None
    if amount > left:
        raise _too_large(left)
    lines = [ChosenLine(flavor, n) for flavor, n in chosen.quantities.items()]
    return LineRefund(amount=amount, lines=lines, restock=refund.restock)


async def carry_out(order: int, refund: NewRefund, by: int) -> form_actions.FormResult:
    """Refund lines of an order."""
    stage = partial(
        actions.refund_order,
        order,
        None,
        reason=refund.reason,
        by=by,
        internal_note=refund.internal_note,
        goods=refund.goods,
    )
    try:
        staged = await database.transaction(stage)
    except errors.RefundTooLarge as refusal:
        raise _too_large(refusal.members["left"]) from None
    amount = await form_actions.amount_of(staged)
    back = " The goods are back in stock." if refund.restock else ""
    return f"Refund of {amount} started for order {order}.{back}", staged


def _too_large(left: int) -> errors.RefundTooLarge:
    return errors.RefundTooLarge(
        f"These lines cost more than the {amounts.show(left)} that can still be refunded. Choose "
        "fewer, or refund an amount.",
        left=left,
    )


def explain(refusal: errors.Refusal, values: Mapping[str, Any]) -> LineRefund:
    """Return the words of a refusal by the field of the form; none if it is about no field."""
    problems = _problems(refusal, values)
    fields = {*OWN_FIELDS, *(name for name in values if name.startswith(QUANTITY))}
    return LineRefund(problems) if problems.keys() <= fields else NOTHING


def _problems(refusal: errors.Refusal, values: Mapping[str, Any]) -> dict[str, str]:
    if isinstance(refusal, errors.RefundedQuantityTooLarge):
        (line,) = refusal.members["lines"]
        words = f"Only {line['available']} can still be refunded."
        return {f"{QUANTITY}{line['flavor']}": words}
    if isinstance(refusal, errors.RefundTooLarge):
        return {"lines": refusal.detail}
    return dict(_problem(one, values) for one in refusal.members.get("errors", ()))


def _problem(error: Mapping[str, str], values: Mapping[str, Any]) -> tuple[str, str]:
    name, detail = error["pointer"].removeprefix("/"), error["detail"]
    if found := re.fullmatch(r"lines/(\d+)/quantity", name):
        typed = [field for field, text in values.items() if _is_quantity(field, text)]
        return typed[int(found[1])], "Enter a whole number of at least 1, or nothing."
    if name == "restock":
        return name, ALREADY_BACK
    if name in LABELS and detail.startswith(f"{name} "):
        detail = LABELS[name] + detail.removeprefix(name)
    return name, detail
