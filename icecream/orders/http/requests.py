"""The body of a new order: one flavor, as in the original API, or several."""

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from icecream import constraints, fields
from icecream.catalogue import flavors, product_data
from icecream.orders import details, ordered_lines
from icecream.tables import MAX_QUANTITY

Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[2])]
Flavor = Annotated[
    fields.Id, Meta(description="The id of the flavor.", examples=[1], title="OrderedFlavor")
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


class NewOrder(fields.Body, details.AddedDetails, kw_only=True):
    """A quantity of one flavor, or `lines` for several; lines of the same flavor are added up."""

    typical: ClassVar = ("quantity", "flavor")
    alternatives: ClassVar = (typical, ("quantity", "sku"), ("lines",))
    quantity: Quantity | UnsetType = UNSET
    flavor: Flavor | UnsetType = UNSET
    sku: product_data.Sku | UnsetType = UNSET
    lines: (
        Annotated[list[NewLine], Meta(min_length=1, max_length=ordered_lines.MAX_LINES)] | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        if self.lines is UNSET:
            if self.quantity is UNSET:
                raise constraints.InvalidValue("quantity", "is required, or lines instead")
            _require_one_name(self.flavor, self.sku, alternatives="sku or lines")
        for name in ("quantity", "flavor", "sku"):
            if self.lines is not UNSET and getattr(self, name) is not UNSET:
                raise constraints.InvalidValue(name, "cannot be combined with lines")
        self.strip()

    async def read_lines(self) -> "ordered_lines.OrderedLines":
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
                raise flavors.unknown_flavor(f"{pointer}/sku", f"the article number {line.sku}")
        return ordered_lines.OrderedLines(found)

    def _numbered_lines(self) -> "list[tuple[str, NewOrder | NewLine]]":
        assert self.lines is not UNSET
        return [(f"/lines/{n}", line) for n, line in enumerate(self.lines)]
