from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="StockReceipt")


@_attrs_define
class StockReceipt:
    """A delivery, or a loss with a negative `quantity`, and the reason for it.

    Attributes:
        quantity (int):
        reason (str):
    """

    quantity: int
    reason: str

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        reason = self.reason

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "quantity": quantity,
                "reason": reason,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        quantity = d.pop("quantity")

        reason = d.pop("reason")

        stock_receipt = cls(
            quantity=quantity,
            reason=reason,
        )

        return stock_receipt
