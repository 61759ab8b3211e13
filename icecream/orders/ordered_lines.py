"""The lines of a new order: their sums, and the places to which its refusals point."""

from collections import Counter
from collections.abc import Sequence

from icecream import errors
from icecream.catalogue import inventory
from icecream.tables import MAX_QUANTITY

# The maximum number of flavors in one order.
MAX_LINES = 100


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
