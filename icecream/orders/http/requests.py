"""The body of a new order: one flavor, as in the original API, or several."""

from collections import Counter
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from icecream import constraints, errors, fields
from icecream.catalogue import inventory
from icecream.orders.http import responses
from icecream.tables import MAX_QUANTITY

Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[2])]
Flavor = Annotated[fields.Id, Meta(description="The id of the flavor.", examples=[1])]


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

    def __post_init__(self) -> None:
        for name in ("quantity", "flavor"):
            is_set = getattr(self, name) is not UNSET
            if self.lines is UNSET and not is_set:
                raise constraints.InvalidValue(name, "is required, or lines instead")
            if self.lines is not UNSET and is_set:
                raise constraints.InvalidValue(name, "cannot be combined with lines")

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
