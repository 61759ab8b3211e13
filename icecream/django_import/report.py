"""What an import did, as lines to read."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct, field

from icecream.django_import.source import SourceOrder

Kind = Literal["user", "flavor", "order"]
NAMES: dict[Kind, str] = {"user": "accounts", "flavor": "flavors", "order": "orders"}
# More lines of one list would hide the summary.
MAX_LISTED = 20


class ImportReport(Struct):
    """What an import did.

    Attributes:
        imported: the number of new rows of each kind.
        known: the number of rows that an earlier run has imported.
        new_ids: the number of new rows whose id is another one here.
        existing: the names of accounts and flavors that existed here, and were not changed.
        without_password: the names of new accounts that need a new password.
        pending: the orders that wait for a payment in the original, and were not imported.
        placed: the orders here that replace pending ones.
        left_out: the orders that cannot be imported, each with the reason.
    """

    imported: Counter[Kind] = field(default_factory=Counter)
    known: Counter[Kind] = field(default_factory=Counter)
    new_ids: Counter[Kind] = field(default_factory=Counter)
    existing: list[str] = field(default_factory=list)
    without_password: list[str] = field(default_factory=list)
    pending: list[SourceOrder] = field(default_factory=list)
    placed: list[int] = field(default_factory=list)
    left_out: list[tuple[int, str]] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report."""
        for kind, name in NAMES.items():
            line = f"{self.imported[kind]:>8}  {name} imported"
            if self.known[kind]:
                line += f", {self.known[kind]} imported before"
            if self.new_ids[kind]:
                line += f"; {self.new_ids[kind]} of them have another id here"
            yield line
        yield from _list_lines("existed here, and were not changed", self.existing)
        yield from _list_lines(
            "accounts need a new password (icecream user password NAME)", self.without_password
        )
        yield from _list_lines(
            "orders wait for a payment, and were not imported (--place-pending places them)",
            [_describe(order) for order in self.pending],
        )
        yield from _list_lines("pending orders were placed", [f"order {n}" for n in self.placed])
        yield from _list_lines(
            "orders were left out", [f"order {n}: {reason}" for n, reason in self.left_out]
        )


def _describe(order: SourceOrder) -> str:
    return (
        f"order {order.id} of {order.created_at:%Y-%m-%d}: {order.quantity} of flavor "
        f"{order.flavor}, for account {order.user}"
    )


def _list_lines(title: str, lines: Sequence[str]) -> Iterator[str]:
    if not lines:
        return
    yield f"{len(lines):>8}  {title}:"
    for line in lines[:MAX_LISTED]:
        yield f"{'':10}{line}"
    if len(lines) > MAX_LISTED:
        yield f"{'':10}and {len(lines) - MAX_LISTED} more"
