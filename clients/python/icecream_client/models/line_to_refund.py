from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="LineToRefund")


@_attrs_define
class LineToRefund:
    """A quantity of one flavor of the order, at the price of its line.

    Attributes:
        quantity (int):
        flavor (int): The id of the flavor.
    """

    quantity: int
    flavor: int

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        flavor = self.flavor

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "quantity": quantity,
                "flavor": flavor,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        quantity = d.pop("quantity")

        flavor = d.pop("flavor")

        line_to_refund = cls(
            quantity=quantity,
            flavor=flavor,
        )

        return line_to_refund
