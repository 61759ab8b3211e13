from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.fulfilment_state import FulfilmentState

if TYPE_CHECKING:
    from ..models.line_to_pack import LineToPack


T = TypeVar("T", bound="OrderToPack")


@_attrs_define
class OrderToPack:
    """An order to pack and deliver.

    Attributes:
        order (int):
        reference (None | str):
        note (None | str):
        fulfilment (FulfilmentState):
        lines (list[LineToPack]):
    """

    order: int
    reference: None | str
    note: None | str
    fulfilment: FulfilmentState
    lines: list[LineToPack]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        order = self.order

        reference: None | str
        reference = self.reference

        note: None | str
        note = self.note

        fulfilment = self.fulfilment.value

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "order": order,
                "reference": reference,
                "note": note,
                "fulfilment": fulfilment,
                "lines": lines,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.line_to_pack import LineToPack  # noqa: PLC0415

        d = dict(src_dict)
        order = d.pop("order")

        def _parse_reference(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        reference = _parse_reference(d.pop("reference"))

        def _parse_note(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        note = _parse_note(d.pop("note"))

        fulfilment = FulfilmentState(d.pop("fulfilment"))

        lines = []
        _lines = d.pop("lines")
        for lines_item_data in _lines:
            lines_item = LineToPack.from_dict(lines_item_data)

            lines.append(lines_item)

        order_to_pack = cls(
            order=order,
            reference=reference,
            note=note,
            fulfilment=fulfilment,
            lines=lines,
        )

        order_to_pack.additional_properties = d
        return order_to_pack

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
