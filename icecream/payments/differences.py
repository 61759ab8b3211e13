"""The differences between one line of the provider's list and our payment."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from icecream import money, states
from icecream.payments import corrections
from icecream.payments.providers import ProviderRecord
from icecream.payments.remedies import Finding


class OurPayment(Struct):
    """A payment of ours, with the columns that are compared."""

    id: int
    order: int
    kind: Literal["charge", "refund"]
    state: str
    provider_key: str
    provider_ref: str | None
    amount: int
    moved: int | None
    currency: str


def find_difference(record: ProviderRecord, rows: Mapping[str, OurPayment]) -> Finding | None:
    """Return how a line of the list differs; `rows` are our payments by key and by reference."""
    row = rows.get(record.key or "")
    if row is None and record.kind == "refund":
        row = rows.get(record.reference)
    if row is not None:
        return _compare(record, row)
    if record.state != "succeeded":
        return None
    charge = rows.get(record.charge or "")
    if charge is not None and charge.state == "succeeded":
        amount = money.format_amount(record.amount, record.currency)
        reason = f"{amount} was refunded at the provider, not by us"
        return Finding("book", reason, charge.order, charge.id, record)
    return _unknown_payment(record) if record.key is not None else None


def _compare(record: ProviderRecord, row: OurPayment) -> Finding | None:
    moved = record.state == "succeeded"
    if row.kind == "refund" and corrections.is_parked_failed_refund(row.state, row.moved):
        reason = "the refund succeeded, but here it failed after it had succeeded"
        return Finding("look", reason, row.order, row.id, record) if moved else None
    if row.state == "parked" and moved and _describe_amounts(record, row, row.amount):
        return Finding(
            "look", _describe_amounts(record, row, row.amount), row.order, row.id, record
        )
    if row.state == "succeeded" and row.kind == "refund" and _refund_failed_later(record, row):
        reason = "the refund failed after it had succeeded"
        return Finding("adopt", reason, row.order, row.id, record)
    if row.state == "succeeded":
        reason = _describe_difference(record, row)
        return Finding("look", reason, row.order, row.id, record) if reason else None
    if row.state in states.open_states(states.PAYMENT) and row.state != "new":
        if record.state != "processing":
            reason = f"{record.state} at the provider, {row.state} here"
            return Finding("adopt", reason, row.order, row.id, record)
    elif moved:
        # A new payment will be sent under the same key, and then this money belongs to it.
        is_needless = record.kind == "charge" and row.state != "new"
        action: Literal["refund", "look"] = "refund" if is_needless else "look"
        amount = money.format_amount(record.amount, record.currency)
        reason = f"the provider moved {amount}, but our payment is {row.state}"
        return Finding(action, reason, row.order, row.id, record)
    return None


def _refund_failed_later(record: ProviderRecord, row: OurPayment) -> bool:
    return record.state == "declined" and record.reference == row.provider_ref


def _unknown_payment(record: ProviderRecord) -> Finding:
    """Return the finding for a payment that we do not know.

    The order number in the record proves nothing: after a restored backup, another order may have
    it.
    """
    action: Literal["refund", "look"] = "refund" if record.kind == "charge" else "look"
    amount = money.format_amount(record.amount, record.currency)
    reason = f"{amount} under the key {record.key}, which no payment here has"
    if record.order is not None:
        reason += f"; it names order {record.order}, which may be a different order today"
    return Finding(action, reason, None, None, record)


def _describe_difference(record: ProviderRecord, row: OurPayment) -> str:
    """Return how the list differs for a payment that succeeded."""
    parts = []
    if record.state != "succeeded":
        parts.append(f"{record.state} at the provider, succeeded here")
    if record.reference != row.provider_ref:
        if record.state == "succeeded":
            parts.append(f"a second {record.kind} under one key")
        parts.append(f"the provider has {record.reference}, the payment has {row.provider_ref}")
    amount = row.amount if row.moved is None else row.moved
    if amounts := _describe_amounts(record, row, amount):
        parts.append(amounts)
    return "; ".join(parts)


def _describe_amounts(record: ProviderRecord, row: OurPayment, amount: int) -> str:
    """Return how amount or currency differ."""
    if (record.amount, record.currency) == (amount, row.currency):
        return ""
    listed = money.format_amount(record.amount, record.currency)
    requested = money.format_amount(amount, row.currency)
    return f"the provider lists {listed}, we requested {requested}"
