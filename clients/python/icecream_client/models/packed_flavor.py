from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.unit import Unit

T = TypeVar("T", bound="PackedFlavor")


@_attrs_define
class PackedFlavor:
    """The `quantity` of a flavor in all `orders` of the list, and what of it is packed already.

    Attributes:
        flavor (int):
        name (str):
        sku (None | str):
        unit (None | Unit):
        pack_size (int | None):
        quantity (int):
        packed (int):
        orders (int):
    """

    flavor: int
    name: str
    sku: None | str
    unit: None | Unit
    pack_size: int | None
    quantity: int
    packed: int
    orders: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        flavor = self.flavor

        name = self.name

        sku: None | str
        sku = self.sku

        unit: None | str
        if isinstance(self.unit, Unit):
            unit = self.unit.value
        else:
            unit = self.unit

        pack_size: int | None
        pack_size = self.pack_size

        quantity = self.quantity

        packed = self.packed

        orders = self.orders

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "flavor": flavor,
                "name": name,
                "sku": sku,
                "unit": unit,
                "pack_size": pack_size,
                "quantity": quantity,
                "packed": packed,
                "orders": orders,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        flavor = d.pop("flavor")

        name = d.pop("name")

        def _parse_sku(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        sku = _parse_sku(d.pop("sku"))

        def _parse_unit(data: object) -> None | Unit:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                unit_type_0 = Unit(data)

                return unit_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unit, data)

        unit = _parse_unit(d.pop("unit"))

        def _parse_pack_size(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        pack_size = _parse_pack_size(d.pop("pack_size"))

        quantity = d.pop("quantity")

        packed = d.pop("packed")

        orders = d.pop("orders")

        packed_flavor = cls(
            flavor=flavor,
            name=name,
            sku=sku,
            unit=unit,
            pack_size=pack_size,
            quantity=quantity,
            packed=packed,
            orders=orders,
        )

        packed_flavor.additional_properties = d
        return packed_flavor

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
