from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="StockView")


@_attrs_define
class StockView:
    """The stock of a flavor, and the days until it is sold out; null if not counted or not sold.

    Attributes:
        flavor (int):
        name (str):
        stock (int | None):
        stock_days (float | None):
        archived (bool):
        low_stock_threshold (int | None):
    """

    flavor: int
    name: str
    stock: int | None
    stock_days: float | None
    archived: bool
    low_stock_threshold: int | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flavor = self.flavor

        name = self.name

        stock: int | None
        stock = self.stock

        stock_days: float | None
        stock_days = self.stock_days

        archived = self.archived

        low_stock_threshold: int | None
        low_stock_threshold = self.low_stock_threshold

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flavor": flavor,
                "name": name,
                "stock": stock,
                "stock_days": stock_days,
                "archived": archived,
                "low_stock_threshold": low_stock_threshold,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flavor = d.pop("flavor")

        name = d.pop("name")

        def _parse_stock(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        stock = _parse_stock(d.pop("stock"))

        def _parse_stock_days(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        stock_days = _parse_stock_days(d.pop("stock_days"))

        archived = d.pop("archived")

        def _parse_low_stock_threshold(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        low_stock_threshold = _parse_low_stock_threshold(d.pop("low_stock_threshold"))

        stock_view = cls(
            flavor=flavor,
            name=name,
            stock=stock,
            stock_days=stock_days,
            archived=archived,
            low_stock_threshold=low_stock_threshold,
        )

        stock_view.additional_properties = d
        return stock_view

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
