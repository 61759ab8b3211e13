"""The body of a new order: one flavor, as in the original API, or several."""

from collections import Counter
from datetime import date
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from icecream import constraints, errors, fields
from icecream.catalogue import inventory
from icecream.orders.details import OrderDetails
from icecream.orders.http import responses
from icecream.tables import MAX_NOTE_LENGTH, MAX_QUANTITY, MAX_REFERENCE_LENGTH

Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[2])]
Flavor = Annotated[fields.Id, Meta(description="The id of the flavor.", examples=[1])]

# A note may have several lines.
NOTE_PATTERN = r"^[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]+(?!\n)$"
Reference = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_REFERENCE_LENGTH,
        pattern=fields.LINE_PATTERN,
        extra=fields.VISIBLE_TEXT_RULE,
        description="Your own number of the order.",
        examples=["PO-1207"],
    ),
]
Note = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NOTE_LENGTH,
        pattern=NOTE_PATTERN,
        extra=fields.VISIBLE_TEXT_RULE,
        description="A note for the people who pack and deliver it.",
        examples=["Please ring at the back door."],
    ),
]
DeliveryDate = Annotated[
    date,
    Meta(
        description="The day on which you need it: today or later, at most a year ahead.",
        extra_json_schema={"maxLength": 10},
    ),
]


class NewLine(fields.Body):
    """A quantity of one flavor."""

    quantity: Quantity
    flavor: Flavor


class NewOrder(fields.Body):
    """A quantity of one flavor, or `lines` for several; lines of the same flavor are added up."""

    typical: ClassVar = ("quantity", "flavor")
    alternatives: ClassVar = (typical, ("lines",))
    quantity: Quantity | UnsetType = UNSET
    flavor: Flavor | UnsetType = UNSET
    lines: (
        Annotated[list[NewLine], Meta(min_length=1, max_length=responses.MAX_LINES)] | UnsetType
    ) = UNSET
    reference: Reference | None = None
    note: Note | None = None
    delivery_date: DeliveryDate | None = None

    def __post_init__(self) -> None:
        for name in ("quantity", "flavor"):
            is_set = getattr(self, name) is not UNSET
            if self.lines is UNSET and not is_set:
                raise constraints.InvalidValue(name, "is required, or lines instead")
            if self.lines is not UNSET and is_set:
                raise constraints.InvalidValue(name, "cannot be combined with lines")
        if self.reference is not None:
            self.reference = fields.strip_text("reference", self.reference)
        if self.note is not None:
            # Forms send line breaks as two characters.
            self.note = fields.strip_text("note", self.note.replace("\r\n", "\n"))

    @property
    def quantities(self) -> dict[int, int]:
        """The ordered quantities by flavor id.

        Raises:
            errors.ValidationFailed: the sum for one flavor is too large.
        """
        sums: Counter[int] = Counter()
        for pointer, line in self._lines_by_pointer():
            sums[line.flavor] += line.quantity
            if sums[line.flavor] > MAX_QUANTITY:
                detail = f"The total quantity of flavor {line.flavor} exceeds {MAX_QUANTITY}."
                raise errors.ValidationFailed(f"{pointer}/quantity", "invalid", detail)
        return dict(sums)

    @property
    def details(self) -> OrderDetails:
        """What the customer added."""
        return OrderDetails(self.reference, self.note, self.delivery_date)

    def unknown_flavor(self, error: inventory.UnknownFlavor) -> errors.ValidationFailed:
        """Return the error that points to an unknown flavor."""
        pointer = next(
            pointer for pointer, line in self._lines_by_pointer() if line.flavor == error.flavor
        )
        return errors.ValidationFailed(f"{pointer}/flavor", "unknown-flavor", str(error))

    def _lines_by_pointer(self) -> list[tuple[str, NewLine]]:
        if self.lines is UNSET:
            assert self.quantity is not UNSET and self.flavor is not UNSET
            return [("", NewLine(self.quantity, self.flavor))]
        return [(f"/lines/{n}", line) for n, line in enumerate(self.lines)]
