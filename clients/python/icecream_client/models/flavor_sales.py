from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="FlavorSales")


@_attrs_define
class FlavorSales:
    """The total ordered quantity of a flavor.

    Attributes:
        flavor_name (str):
        total_qty_ordered (int):
    """

    flavor_name: str
    total_qty_ordered: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flavor_name = self.flavor_name

        total_qty_ordered = self.total_qty_ordered

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flavor__name": flavor_name,
                "total_qty_ordered": total_qty_ordered,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flavor_name = d.pop("flavor__name")

        total_qty_ordered = d.pop("total_qty_ordered")

        flavor_sales = cls(
            flavor_name=flavor_name,
            total_qty_ordered=total_qty_ordered,
        )

        flavor_sales.additional_properties = d
        return flavor_sales

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
