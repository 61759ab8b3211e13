from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.line_view import LineView


T = TypeVar("T", bound="Quote")


@_attrs_define
class Quote:
    """The current price of an order.

    Attributes:
        quantity (int):
        flavor (int | None):
        lines (list[LineView]):
        total (int): In minor units, such as cents.
        currency (str): ISO 4217.
    """

    quantity: int
    flavor: int | None
    lines: list[LineView]
    total: int
    currency: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        flavor: int | None
        flavor = self.flavor

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        total = self.total

        currency = self.currency

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "quantity": quantity,
                "flavor": flavor,
                "lines": lines,
                "total": total,
                "currency": currency,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.line_view import LineView  # noqa: PLC0415

        d = dict(src_dict)
        quantity = d.pop("quantity")

        def _parse_flavor(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        flavor = _parse_flavor(d.pop("flavor"))

        lines = []
        _lines = d.pop("lines")
        for lines_item_data in _lines:
            lines_item = LineView.from_dict(lines_item_data)

            lines.append(lines_item)

        total = d.pop("total")

        currency = d.pop("currency")

        quote = cls(
            quantity=quantity,
            flavor=flavor,
            lines=lines,
            total=total,
            currency=currency,
        )

        quote.additional_properties = d
        return quote

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
