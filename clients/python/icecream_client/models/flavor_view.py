from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.allergen import Allergen
from ..models.unit import Unit

T = TypeVar("T", bound="FlavorView")


@_attrs_define
class FlavorView:
    """A flavor; `stock` is the quantity left, or null if it is not counted.

    An `archived` flavor is no longer sold. Product data that staff have not set is null.

        Attributes:
            id (int):
            name (str):
            description (str):
            price (int): In minor units, such as cents.
            stock (int | None):
            archived (bool):
            sku (None | str):
            unit (None | Unit):
            pack_size (int | None):
            net_content_ml (int | None):
            allergens (list[Allergen] | None):
            on_sale_from (datetime.date | None):
            on_sale_to (datetime.date | None):
            min_quantity (int | None):
            quantity_multiple (int | None):
            low_stock_threshold (int | None):
            currency (str): ISO 4217.
    """

    id: int
    name: str
    description: str
    price: int
    stock: int | None
    archived: bool
    sku: None | str
    unit: None | Unit
    pack_size: int | None
    net_content_ml: int | None
    allergens: list[Allergen] | None
    on_sale_from: datetime.date | None
    on_sale_to: datetime.date | None
    min_quantity: int | None
    quantity_multiple: int | None
    low_stock_threshold: int | None
    currency: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        name = self.name

        description = self.description

        price = self.price

        stock: int | None
        stock = self.stock

        archived = self.archived

        sku: None | str
        sku = self.sku

        unit: None | str
        if isinstance(self.unit, Unit):
            unit = self.unit.value
        else:
            unit = self.unit

        pack_size: int | None
        pack_size = self.pack_size

        net_content_ml: int | None
        net_content_ml = self.net_content_ml

        allergens: list[str] | None
        if isinstance(self.allergens, list):
            allergens = []
            for componentsschemas_allergens_item_data in self.allergens:
                componentsschemas_allergens_item = componentsschemas_allergens_item_data.value
                allergens.append(componentsschemas_allergens_item)

        else:
            allergens = self.allergens

        on_sale_from: None | str
        if isinstance(self.on_sale_from, datetime.date):
            on_sale_from = self.on_sale_from.isoformat()
        else:
            on_sale_from = self.on_sale_from

        on_sale_to: None | str
        if isinstance(self.on_sale_to, datetime.date):
            on_sale_to = self.on_sale_to.isoformat()
        else:
            on_sale_to = self.on_sale_to

        min_quantity: int | None
        min_quantity = self.min_quantity

        quantity_multiple: int | None
        quantity_multiple = self.quantity_multiple

        low_stock_threshold: int | None
        low_stock_threshold = self.low_stock_threshold

        currency = self.currency

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "name": name,
                "description": description,
                "price": price,
                "stock": stock,
                "archived": archived,
                "sku": sku,
                "unit": unit,
                "pack_size": pack_size,
                "net_content_ml": net_content_ml,
                "allergens": allergens,
                "on_sale_from": on_sale_from,
                "on_sale_to": on_sale_to,
                "min_quantity": min_quantity,
                "quantity_multiple": quantity_multiple,
                "low_stock_threshold": low_stock_threshold,
                "currency": currency,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        name = d.pop("name")

        description = d.pop("description")

        price = d.pop("price")

        def _parse_stock(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        stock = _parse_stock(d.pop("stock"))

        archived = d.pop("archived")

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

        def _parse_net_content_ml(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        net_content_ml = _parse_net_content_ml(d.pop("net_content_ml"))

        def _parse_allergens(data: object) -> list[Allergen] | None:
            if data is None:
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                allergens_type_0 = []
                _allergens_type_0 = data
                for componentsschemas_allergens_item_data in _allergens_type_0:
                    componentsschemas_allergens_item = Allergen(
                        componentsschemas_allergens_item_data
                    )

                    allergens_type_0.append(componentsschemas_allergens_item)

                return allergens_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[Allergen] | None, data)

        allergens = _parse_allergens(d.pop("allergens"))

        def _parse_on_sale_from(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                on_sale_from_type_0 = datetime.date.fromisoformat(data)

                return on_sale_from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        on_sale_from = _parse_on_sale_from(d.pop("on_sale_from"))

        def _parse_on_sale_to(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                on_sale_to_type_0 = datetime.date.fromisoformat(data)

                return on_sale_to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        on_sale_to = _parse_on_sale_to(d.pop("on_sale_to"))

        def _parse_min_quantity(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        min_quantity = _parse_min_quantity(d.pop("min_quantity"))

        def _parse_quantity_multiple(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        quantity_multiple = _parse_quantity_multiple(d.pop("quantity_multiple"))

        def _parse_low_stock_threshold(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        low_stock_threshold = _parse_low_stock_threshold(d.pop("low_stock_threshold"))

        currency = d.pop("currency")

        flavor_view = cls(
            id=id,
            name=name,
            description=description,
            price=price,
            stock=stock,
            archived=archived,
            sku=sku,
            unit=unit,
            pack_size=pack_size,
            net_content_ml=net_content_ml,
            allergens=allergens,
            on_sale_from=on_sale_from,
            on_sale_to=on_sale_to,
            min_quantity=min_quantity,
            quantity_multiple=quantity_multiple,
            low_stock_threshold=low_stock_threshold,
            currency=currency,
        )

        flavor_view.additional_properties = d
        return flavor_view

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
