from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.customer_to_serve import CustomerToServe
    from ..models.packed_flavor import PackedFlavor


T = TypeVar("T", bound="PackingListView")


@_attrs_define
class PackingListView:
    """The paid orders of a day that are not delivered yet.

    `pending` is the number of orders whose payment has not ended; they are not on the list.
    `is_complete` is false if there are more orders than the first 10,000. `placed_from` is there if
    the list has the orders without a delivery date.

        Attributes:
            date (datetime.date | None):
            is_complete (bool):
            pending (int):
            orders (int):
            flavors (list[PackedFlavor]):
            customers (list[CustomerToServe]):
            placed_from (datetime.date | Unset):
    """

    date: datetime.date | None
    is_complete: bool
    pending: int
    orders: int
    flavors: list[PackedFlavor]
    customers: list[CustomerToServe]
    placed_from: datetime.date | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        date: None | str
        if isinstance(self.date, datetime.date):
            date = self.date.isoformat()
        else:
            date = self.date

        is_complete = self.is_complete

        pending = self.pending

        orders = self.orders

        flavors = []
        for flavors_item_data in self.flavors:
            flavors_item = flavors_item_data.to_dict()
            flavors.append(flavors_item)

        customers = []
        for customers_item_data in self.customers:
            customers_item = customers_item_data.to_dict()
            customers.append(customers_item)

        placed_from: str | Unset = UNSET
        if not isinstance(self.placed_from, Unset):
            placed_from = self.placed_from.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "date": date,
                "is_complete": is_complete,
                "pending": pending,
                "orders": orders,
                "flavors": flavors,
                "customers": customers,
            }
        )
        if placed_from is not UNSET:
            field_dict["placed_from"] = placed_from

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.customer_to_serve import CustomerToServe  # noqa: PLC0415
        from ..models.packed_flavor import PackedFlavor  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_date(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                date_type_0 = datetime.date.fromisoformat(data)

                return date_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        date = _parse_date(d.pop("date"))

        is_complete = d.pop("is_complete")

        pending = d.pop("pending")

        orders = d.pop("orders")

        flavors = []
        _flavors = d.pop("flavors")
        for flavors_item_data in _flavors:
            flavors_item = PackedFlavor.from_dict(flavors_item_data)

            flavors.append(flavors_item)

        customers = []
        _customers = d.pop("customers")
        for customers_item_data in _customers:
            customers_item = CustomerToServe.from_dict(customers_item_data)

            customers.append(customers_item)

        _placed_from = d.pop("placed_from", UNSET)
        placed_from: datetime.date | Unset
        if isinstance(_placed_from, Unset):
            placed_from = UNSET
        else:
            placed_from = datetime.date.fromisoformat(_placed_from)

        packing_list_view = cls(
            date=date,
            is_complete=is_complete,
            pending=pending,
            orders=orders,
            flavors=flavors,
            customers=customers,
            placed_from=placed_from,
        )

        packing_list_view.additional_properties = d
        return packing_list_view

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
