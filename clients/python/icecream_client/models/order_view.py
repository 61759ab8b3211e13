from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.fulfilment_state import FulfilmentState
from ..models.order_status import OrderStatus

if TYPE_CHECKING:
    from ..models.line_view import LineView


T = TypeVar("T", bound="OrderView")


@_attrs_define
class OrderView:
    """An order: `pending` until its payment has ended, then `paid` or `failed`.

    `fulfilment` says where the goods are. `quantity` is the sum of all lines. `flavor` is null if
    there is more than one line.

        Attributes:
            id (int):
            quantity (int):
            status (OrderStatus):
            created_at (datetime.datetime):
            user (int):
            flavor (int | None):
            lines (list[LineView]):
            total (int): In minor units, such as cents.
            refunded (int): In minor units, such as cents.
            currency (str): ISO 4217.
            reference (None | str):
            note (None | str):
            delivery_date (datetime.date | None):
            fulfilment (FulfilmentState):
    """

    id: int
    quantity: int
    status: OrderStatus
    created_at: datetime.datetime
    user: int
    flavor: int | None
    lines: list[LineView]
    total: int
    refunded: int
    currency: str
    reference: None | str
    note: None | str
    delivery_date: datetime.date | None
    fulfilment: FulfilmentState
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        quantity = self.quantity

        status = self.status.value

        created_at = self.created_at.isoformat()

        user = self.user

        flavor: int | None
        flavor = self.flavor

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        total = self.total

        refunded = self.refunded

        currency = self.currency

        reference: None | str
        reference = self.reference

        note: None | str
        note = self.note

        delivery_date: None | str
        if isinstance(self.delivery_date, datetime.date):
            delivery_date = self.delivery_date.isoformat()
        else:
            delivery_date = self.delivery_date

        fulfilment = self.fulfilment.value

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "quantity": quantity,
                "status": status,
                "created_at": created_at,
                "user": user,
                "flavor": flavor,
                "lines": lines,
                "total": total,
                "refunded": refunded,
                "currency": currency,
                "reference": reference,
                "note": note,
                "delivery_date": delivery_date,
                "fulfilment": fulfilment,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.line_view import LineView  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        quantity = d.pop("quantity")

        status = OrderStatus(d.pop("status"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        user = d.pop("user")

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

        refunded = d.pop("refunded")

        currency = d.pop("currency")

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

        def _parse_delivery_date(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                delivery_date_type_0 = datetime.date.fromisoformat(data)

                return delivery_date_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        delivery_date = _parse_delivery_date(d.pop("delivery_date"))

        fulfilment = FulfilmentState(d.pop("fulfilment"))

        order_view = cls(
            id=id,
            quantity=quantity,
            status=status,
            created_at=created_at,
            user=user,
            flavor=flavor,
            lines=lines,
            total=total,
            refunded=refunded,
            currency=currency,
            reference=reference,
            note=note,
            delivery_date=delivery_date,
            fulfilment=fulfilment,
        )

        order_view.additional_properties = d
        return order_view

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
