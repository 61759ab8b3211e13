from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.flavor_figures import FlavorFigures


T = TypeVar("T", bound="PeriodReport")


@_attrs_define
class PeriodReport:
    """The figures of a period, in total and by flavor.

    Attributes:
        quantity (int):
        orders (int):
        revenue (int): In minor units, such as cents.
        refunds (int): In minor units, such as cents.
        failure_rate (float | None):
        start (datetime.date):
        flavors (list[FlavorFigures]):
    """

    quantity: int
    orders: int
    revenue: int
    refunds: int
    failure_rate: float | None
    start: datetime.date
    flavors: list[FlavorFigures]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        orders = self.orders

        revenue = self.revenue

        refunds = self.refunds

        failure_rate: float | None
        failure_rate = self.failure_rate

        start = self.start.isoformat()

        flavors = []
        for flavors_item_data in self.flavors:
            flavors_item = flavors_item_data.to_dict()
            flavors.append(flavors_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "quantity": quantity,
                "orders": orders,
                "revenue": revenue,
                "refunds": refunds,
                "failure_rate": failure_rate,
                "start": start,
                "flavors": flavors,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.flavor_figures import FlavorFigures  # noqa: PLC0415

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

        start = datetime.date.fromisoformat(d.pop("start"))

        flavors = []
        _flavors = d.pop("flavors")
        for flavors_item_data in _flavors:
            flavors_item = FlavorFigures.from_dict(flavors_item_data)

            flavors.append(flavors_item)

        period_report = cls(
            quantity=quantity,
            orders=orders,
            revenue=revenue,
            refunds=refunds,
            failure_rate=failure_rate,
            start=start,
            flavors=flavors,
        )

        period_report.additional_properties = d
        return period_report

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
