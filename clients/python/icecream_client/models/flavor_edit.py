from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.allergen import Allergen
from ..models.unit import Unit
from ..types import UNSET, Unset

T = TypeVar("T", bound="FlavorEdit")


@_attrs_define
class FlavorEdit:
    """The fields of a flavor to change; all other fields keep their values.

    An `archived` flavor is not listed and cannot be ordered. `stock` can only become null, which
    stops counting it: orders and receipts change the stock.

        Attributes:
            sku (None | str | Unset):
            unit (None | Unit | Unset):
            pack_size (int | None | Unset):
            net_content_ml (int | None | Unset):
            allergens (list[Allergen] | None | Unset):
            on_sale_from (datetime.date | None | Unset):
            on_sale_to (datetime.date | None | Unset):
            min_quantity (int | None | Unset):
            quantity_multiple (int | None | Unset):
            low_stock_threshold (int | None | Unset):
            name (str | Unset):
            description (str | Unset):
            price (int | Unset): In minor units, such as cents.
            archived (bool | Unset):
            stock (int | None | Unset):
    """

    sku: None | str | Unset = UNSET
    unit: None | Unit | Unset = UNSET
    pack_size: int | None | Unset = UNSET
    net_content_ml: int | None | Unset = UNSET
    allergens: list[Allergen] | None | Unset = UNSET
    on_sale_from: datetime.date | None | Unset = UNSET
    on_sale_to: datetime.date | None | Unset = UNSET
    min_quantity: int | None | Unset = UNSET
    quantity_multiple: int | None | Unset = UNSET
    low_stock_threshold: int | None | Unset = UNSET
    name: str | Unset = UNSET
    description: str | Unset = UNSET
    price: int | Unset = UNSET
    archived: bool | Unset = UNSET
    stock: int | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        sku: None | str | Unset
        if isinstance(self.sku, Unset):
            sku = UNSET
        else:
            sku = self.sku

        unit: None | str | Unset
        if isinstance(self.unit, Unset):
            unit = UNSET
        elif isinstance(self.unit, Unit):
            unit = self.unit.value
        else:
            unit = self.unit

        pack_size: int | None | Unset
        if isinstance(self.pack_size, Unset):
            pack_size = UNSET
        else:
            pack_size = self.pack_size

        net_content_ml: int | None | Unset
        if isinstance(self.net_content_ml, Unset):
            net_content_ml = UNSET
        else:
            net_content_ml = self.net_content_ml

        allergens: list[str] | None | Unset
        if isinstance(self.allergens, Unset):
            allergens = UNSET
        elif isinstance(self.allergens, list):
            allergens = []
            for componentsschemas_allergens_item_data in self.allergens:
                componentsschemas_allergens_item = componentsschemas_allergens_item_data.value
                allergens.append(componentsschemas_allergens_item)

        else:
            allergens = self.allergens

        on_sale_from: None | str | Unset
        if isinstance(self.on_sale_from, Unset):
            on_sale_from = UNSET
        elif isinstance(self.on_sale_from, datetime.date):
            on_sale_from = self.on_sale_from.isoformat()
        else:
            on_sale_from = self.on_sale_from

        on_sale_to: None | str | Unset
        if isinstance(self.on_sale_to, Unset):
            on_sale_to = UNSET
        elif isinstance(self.on_sale_to, datetime.date):
            on_sale_to = self.on_sale_to.isoformat()
        else:
            on_sale_to = self.on_sale_to

        min_quantity: int | None | Unset
        if isinstance(self.min_quantity, Unset):
            min_quantity = UNSET
        else:
            min_quantity = self.min_quantity

        quantity_multiple: int | None | Unset
        if isinstance(self.quantity_multiple, Unset):
            quantity_multiple = UNSET
        else:
            quantity_multiple = self.quantity_multiple

        low_stock_threshold: int | None | Unset
        if isinstance(self.low_stock_threshold, Unset):
            low_stock_threshold = UNSET
        else:
            low_stock_threshold = self.low_stock_threshold

        name = self.name

        description = self.description

        price = self.price

        archived = self.archived

        stock: int | None | Unset
        if isinstance(self.stock, Unset):
            stock = UNSET
        else:
            stock = self.stock

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if sku is not UNSET:
            field_dict["sku"] = sku
        if unit is not UNSET:
            field_dict["unit"] = unit
        if pack_size is not UNSET:
            field_dict["pack_size"] = pack_size
        if net_content_ml is not UNSET:
            field_dict["net_content_ml"] = net_content_ml
        if allergens is not UNSET:
            field_dict["allergens"] = allergens
        if on_sale_from is not UNSET:
            field_dict["on_sale_from"] = on_sale_from
        if on_sale_to is not UNSET:
            field_dict["on_sale_to"] = on_sale_to
        if min_quantity is not UNSET:
            field_dict["min_quantity"] = min_quantity
        if quantity_multiple is not UNSET:
            field_dict["quantity_multiple"] = quantity_multiple
        if low_stock_threshold is not UNSET:
            field_dict["low_stock_threshold"] = low_stock_threshold
        if name is not UNSET:
            field_dict["name"] = name
        if description is not UNSET:
            field_dict["description"] = description
        if price is not UNSET:
            field_dict["price"] = price
        if archived is not UNSET:
            field_dict["archived"] = archived
        if stock is not UNSET:
            field_dict["stock"] = stock

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_sku(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        sku = _parse_sku(d.pop("sku", UNSET))

        def _parse_unit(data: object) -> None | Unit | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                unit_type_0 = Unit(data)

                return unit_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Unit | Unset, data)

        unit = _parse_unit(d.pop("unit", UNSET))

        def _parse_pack_size(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        pack_size = _parse_pack_size(d.pop("pack_size", UNSET))

        def _parse_net_content_ml(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        net_content_ml = _parse_net_content_ml(d.pop("net_content_ml", UNSET))

        def _parse_allergens(data: object) -> list[Allergen] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
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
            return cast(list[Allergen] | None | Unset, data)

        allergens = _parse_allergens(d.pop("allergens", UNSET))

        def _parse_on_sale_from(data: object) -> datetime.date | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                on_sale_from_type_0 = datetime.date.fromisoformat(data)

                return on_sale_from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None | Unset, data)

        on_sale_from = _parse_on_sale_from(d.pop("on_sale_from", UNSET))

        def _parse_on_sale_to(data: object) -> datetime.date | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                on_sale_to_type_0 = datetime.date.fromisoformat(data)

                return on_sale_to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None | Unset, data)

        on_sale_to = _parse_on_sale_to(d.pop("on_sale_to", UNSET))

        def _parse_min_quantity(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        min_quantity = _parse_min_quantity(d.pop("min_quantity", UNSET))

        def _parse_quantity_multiple(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        quantity_multiple = _parse_quantity_multiple(d.pop("quantity_multiple", UNSET))

        def _parse_low_stock_threshold(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        low_stock_threshold = _parse_low_stock_threshold(d.pop("low_stock_threshold", UNSET))

        name = d.pop("name", UNSET)

        description = d.pop("description", UNSET)

        price = d.pop("price", UNSET)

        archived = d.pop("archived", UNSET)

        def _parse_stock(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        stock = _parse_stock(d.pop("stock", UNSET))

        flavor_edit = cls(
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
            name=name,
            description=description,
            price=price,
            archived=archived,
            stock=stock,
        )

        return flavor_edit
