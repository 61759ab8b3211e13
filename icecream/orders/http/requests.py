"""The body of a new order: one flavor, as in the original API, or several."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from icecream import constraints, errors, fields
from icecream.catalogue import flavors, inventory, product_data
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


def _require_one_name(flavor: int | UnsetType, sku: str | UnsetType, *, alternatives: str) -> None:
    """Require the id or the article number of a flavor, and not both.

    Raises:
        constraints.InvalidValue: there is none of them, or both.
    """
    if flavor is UNSET and sku is UNSET:
        raise constraints.InvalidValue("flavor", f"is required, or {alternatives} instead")
    if flavor is not UNSET and sku is not UNSET:
        raise constraints.InvalidValue("sku", "cannot be combined with flavor")


class NewLine(fields.Body):
    """A quantity of one flavor, which its id or its article number names."""

    typical: ClassVar = ("quantity", "flavor")
    alternatives: ClassVar = (typical, ("quantity", "sku"))
    quantity: Quantity
    flavor: Flavor | UnsetType = UNSET
    sku: product_data.Sku | UnsetType = UNSET

    def __post_init__(self) -> None:
        _require_one_name(self.flavor, self.sku, alternatives="sku")


class NewOrder(fields.Body):
    """A quantity of one flavor, or `lines` for several; lines of the same flavor are added up."""

    typical: ClassVar = ("quantity", "flavor")
    alternatives: ClassVar = (typical, ("quantity", "sku"), ("lines",))
    quantity: Quantity | UnsetType = UNSET
    flavor: Flavor | UnsetType = UNSET
    sku: product_data.Sku | UnsetType = UNSET
    lines: (
        Annotated[list[NewLine], Meta(min_length=1, max_length=responses.MAX_LINES)] | UnsetType
    ) = UNSET
    reference: Reference | None = None
    note: Note | None = None
    delivery_date: DeliveryDate | None = None

    def __post_init__(self) -> None:
        if self.lines is UNSET:
            if self.quantity is UNSET:
                raise constraints.InvalidValue("quantity", "is required, or lines instead")
            _require_one_name(self.flavor, self.sku, alternatives="sku or lines")
        for name in ("quantity", "flavor", "sku"):
            if self.lines is not UNSET and getattr(self, name) is not UNSET:
                raise constraints.InvalidValue(name, "cannot be combined with lines")
        if self.reference is not None:
            self.reference = fields.strip_text("reference", self.reference)
        if self.note is not None:
            # Forms send line breaks as two characters.
            self.note = fields.strip_text("note", self.note.replace("\r\n", "\n"))

    @property
    def details(self) -> OrderDetails:
        """What the customer added."""
        return OrderDetails(self.reference, self.note, self.delivery_date)

    async def read_lines(self) -> "OrderedLines":
        """Return the lines with the ids of their flavors.

        Raises:
            errors.ValidationFailed: no flavor has the article number of a line, or the sum for one
                flavor is too large.
        """
        lines = [("", self)] if self.lines is UNSET else self._numbered_lines()
        skus = {line.sku for _, line in lines if line.sku is not UNSET}
        ids = await flavors.find_by_sku(skus) if skus else {}
        found: list[tuple[str, str, int, int]] = []
        for pointer, line in lines:
            assert line.quantity is not UNSET
            if line.flavor is not UNSET:
                found.append((pointer, "flavor", line.flavor, line.quantity))
            elif line.sku in ids:
                found.append((pointer, "sku", ids[line.sku], line.quantity))
            else:
                detail = f"There is no flavor with the article number {line.sku}."
                raise errors.ValidationFailed(f"{pointer}/sku", "unknown-flavor", detail)
        return OrderedLines(found)

    def _numbered_lines(self) -> "list[tuple[str, NewOrder | NewLine]]":
        assert self.lines is not UNSET
        return [(f"/lines/{n}", line) for n, line in enumerate(self.lines)]


class OrderedLines:
    """The lines of a new order: their JSON Pointers, what names the flavor, its id, a quantity."""

    def __init__(self, lines: Sequence[tuple[str, str, int, int]]) -> None:
        self._lines = lines
        sums: Counter[int] = Counter()
        for pointer, _, flavor, quantity in lines:
            sums[flavor] += quantity
            if sums[flavor] > MAX_QUANTITY:
                detail = f"The total quantity of flavor {flavor} exceeds {MAX_QUANTITY}."
                raise errors.ValidationFailed(f"{pointer}/quantity", "invalid", detail)
        self.quantities = dict(sums)

    def explain(self, error: inventory.LineRefused) -> errors.ValidationFailed:
        """Return the error that points to the refused member of a line."""
        pointer, name = next(
            (pointer, name) for pointer, name, flavor, _ in self._lines if flavor == error.flavor
        )
        member = name if error.member == "flavor" else error.member
        return errors.ValidationFailed(f"{pointer}/{member}", error.code, str(error))
