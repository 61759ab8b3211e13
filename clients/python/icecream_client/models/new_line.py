from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="NewLine")


@_attrs_define
class NewLine:
    """A quantity of one flavor, which its id or its article number names.

    Attributes:
        quantity (int):
        flavor (int | Unset): The id of the flavor.
        sku (str | Unset): Your article number (stock keeping unit); unique.
    """

    quantity: int
    flavor: int | Unset = UNSET
    sku: str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        quantity = self.quantity

        flavor = self.flavor

        sku = self.sku

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "quantity": quantity,
            }
        )
        if flavor is not UNSET:
            field_dict["flavor"] = flavor
        if sku is not UNSET:
            field_dict["sku"] = sku

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        quantity = d.pop("quantity")

        flavor = d.pop("flavor", UNSET)

        sku = d.pop("sku", UNSET)

        new_line = cls(
            quantity=quantity,
            flavor=flavor,
            sku=sku,
        )

        return new_line
