from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.order_status import OrderStatus

T = TypeVar("T", bound="Latest")


@_attrs_define
class Latest:
    """A short form of an order.

    Attributes:
        id (int):
        user (int):
        username (str):
        quantity (int):
        status (OrderStatus):
        total (int): In minor units, such as cents.
        refunded (int): In minor units, such as cents.
        created_at (datetime.datetime):
    """

    id: int
    user: int
    username: str
    quantity: int
    status: OrderStatus
    total: int
    refunded: int
    created_at: datetime.datetime
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        user = self.user

        username = self.username

        quantity = self.quantity

        status = self.status.value

        total = self.total

        refunded = self.refunded

        created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "user": user,
                "username": username,
                "quantity": quantity,
                "status": status,
                "total": total,
                "refunded": refunded,
                "created_at": created_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = d.pop("id")

        user = d.pop("user")

        username = d.pop("username")

        quantity = d.pop("quantity")

        status = OrderStatus(d.pop("status"))

        total = d.pop("total")

        refunded = d.pop("refunded")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        latest = cls(
            id=id,
            user=user,
            username=username,
            quantity=quantity,
            status=status,
            total=total,
            refunded=refunded,
            created_at=created_at,
        )

        latest.additional_properties = d
        return latest

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
