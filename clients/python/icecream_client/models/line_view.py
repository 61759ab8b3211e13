from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="LineView")


@_attrs_define
class LineView:
    """A quantity of a flavor, at the price when the order was placed.

    `refunded_quantity` is there if refunds were about some of it, in the details of an order.

        Attributes:
            flavor (int):
            quantity (int):
            unit_price (int):
            refunded_quantity (int | Unset):
    """

    flavor: int
    quantity: int
    unit_price: int
    refunded_quantity: int | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flavor = self.flavor

        quantity = self.quantity

        unit_price = self.unit_price

        refunded_quantity = self.refunded_quantity

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flavor": flavor,
                "quantity": quantity,
                "unit_price": unit_price,
            }
        )
        if refunded_quantity is not UNSET:
            field_dict["refunded_quantity"] = refunded_quantity

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flavor = d.pop("flavor")

        quantity = d.pop("quantity")

        unit_price = d.pop("unit_price")

        refunded_quantity = d.pop("refunded_quantity", UNSET)

        line_view = cls(
            flavor=flavor,
            quantity=quantity,
            unit_price=unit_price,
            refunded_quantity=refunded_quantity,
        )

        line_view.additional_properties = d
        return line_view

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
