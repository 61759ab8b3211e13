from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="FlavorFigures")


@_attrs_define
class FlavorFigures:
    """The figures of a flavor; `orders` counts the orders with a line of this flavor.

    Attributes:
        quantity (int):
        orders (int):
        revenue (int): In minor units, such as cents.
        refunds (int): In minor units, such as cents.
        failure_rate (float | None):
        flavor (int):
        name (str):
    """

    quantity: int
    orders: int
    revenue: int
    refunds: int
    failure_rate: float | None
    flavor: int
    name: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        orders = self.orders

        revenue = self.revenue

        refunds = self.refunds

        failure_rate: float | None
        failure_rate = self.failure_rate

        flavor = self.flavor

        name = self.name

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "quantity": quantity,
                "orders": orders,
                "revenue": revenue,
                "refunds": refunds,
                "failure_rate": failure_rate,
                "flavor": flavor,
                "name": name,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        quantity = d.pop("quantity")

        orders = d.pop("orders")

        revenue = d.pop("revenue")

        refunds = d.pop("refunds")

        def _parse_failure_rate(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        failure_rate = _parse_failure_rate(d.pop("failure_rate"))

        flavor = d.pop("flavor")

        name = d.pop("name")

        flavor_figures = cls(
            quantity=quantity,
            orders=orders,
            revenue=revenue,
            refunds=refunds,
            failure_rate=failure_rate,
            flavor=flavor,
            name=name,
        )

        flavor_figures.additional_properties = d
        return flavor_figures

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
