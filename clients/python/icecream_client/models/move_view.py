from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.refused_order import RefusedOrder


T = TypeVar("T", bound="MoveView")


@_attrs_define
class MoveView:
    """The orders that were `moved`, those that were in that state already, and those `refused`.

    Attributes:
        moved (list[int]):
        unchanged (list[int]):
        refused (list[RefusedOrder]):
    """

    moved: list[int]
    unchanged: list[int]
    refused: list[RefusedOrder]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        moved = self.moved

        unchanged = self.unchanged

        refused = []
        for refused_item_data in self.refused:
            refused_item = refused_item_data.to_dict()
            refused.append(refused_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "moved": moved,
                "unchanged": unchanged,
                "refused": refused,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.refused_order import RefusedOrder  # noqa: PLC0415

        d = dict(src_dict)
        moved = cast(list[int], d.pop("moved"))

        unchanged = cast(list[int], d.pop("unchanged"))

        refused = []
        _refused = d.pop("refused")
        for refused_item_data in _refused:
            refused_item = RefusedOrder.from_dict(refused_item_data)

            refused.append(refused_item)

        move_view = cls(
            moved=moved,
            unchanged=unchanged,
            refused=refused,
        )

        move_view.additional_properties = d
        return move_view

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
