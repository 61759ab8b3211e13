"""The body of a new order: one flavor, as in the original API, or several."""

from collections import Counter
from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from icecream import bodies, books, errors, sentences
from icecream.orders import views
from icecream.tables import MAX_QUANTITY

Quantity = Annotated[int, Meta(ge=1, le=MAX_QUANTITY, examples=[2])]
Flavor = Annotated[bodies.Id, Meta(description="Its id.", examples=[1])]


class NewLine(bodies.Body):
    """So much of one flavor."""

    quantity: Quantity
    flavor: Flavor


class NewOrder(bodies.Body):
    """So much of one flavor, or `lines` of several; a flavor that comes twice is added up."""

    typical: ClassVar = ("quantity", "flavor")
    alternatives: ClassVar = (typical, ("lines",))
    quantity: Quantity | UnsetType = UNSET
    flavor: Flavor | UnsetType = UNSET
    lines: Annotated[list[NewLine], Meta(min_length=1, max_length=views.MAX_LINES)] | UnsetType = (
        UNSET
    )

    def __post_init__(self) -> None:
        for name in ("quantity", "flavor"):
            given = getattr(self, name) is not UNSET
            if self.lines is UNSET and not given:
                raise sentences.Unfit(name, "is required, or lines instead")
            if self.lines is not UNSET and given:
                raise sentences.Unfit(name, "cannot come together with lines")

    @property
    def wanted(self) -> dict[int, int]:
        """The ordered quantities by flavor id.

        Raises:
            errors.ValidationFailed: the sum for one flavor is too large.
        """
        sums: Counter[int] = Counter()
        for place, line in self._places():
            sums[line.flavor] += line.quantity
            if sums[line.flavor] > MAX_QUANTITY:
                detail = f"Together more than {MAX_QUANTITY} of flavor {line.flavor}."
                raise errors.ValidationFailed(f"{place}/quantity", "invalid", detail)
        return dict(sums)

    def unknown(self, error: books.UnknownFlavor) -> errors.ValidationFailed:
        """Return the error that points to an unknown flavor."""
        place = next(place for place, line in self._places() if line.flavor == error.flavor)
        return errors.ValidationFailed(f"{place}/flavor", "unknown-flavor", str(error))

    def _places(self) -> list[tuple[str, NewLine]]:
        if self.lines is UNSET:
            assert self.quantity is not UNSET and self.flavor is not UNSET
            return [("", NewLine(self.quantity, self.flavor))]
        return [(f"/lines/{n}", line) for n, line in enumerate(self.lines)]
