from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.order_placed_status import OrderPlacedStatus
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.order_detail import OrderDetail


T = TypeVar("T", bound="OrderPlaced")


@_attrs_define
class OrderPlaced:
    """The order is stored and will be paid; with `Prefer: wait`, `order` is its current state.

    Attributes:
        status (OrderPlacedStatus):
        order_id (int):
        order (OrderDetail | Unset): An order with the allowed actions and its history.

            `failure` is the reason why the last payment of a failed order was declined.
            `cancel_requested`: the order becomes `canceled` when its payment or its refund has ended.
    """

    status: OrderPlacedStatus
    order_id: int
    order: OrderDetail | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status.value

        order_id = self.order_id

        order: dict[str, Any] | Unset = UNSET
        if not isinstance(self.order, Unset):
            order = self.order.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
                "order_id": order_id,
            }
        )
        if order is not UNSET:
            field_dict["order"] = order

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.order_detail import OrderDetail  # noqa: PLC0415

        d = dict(src_dict)
        status = OrderPlacedStatus(d.pop("status"))

        order_id = d.pop("order_id")

        _order = d.pop("order", UNSET)
        order: OrderDetail | Unset
        if isinstance(_order, Unset):
            order = UNSET
        else:
            order = OrderDetail.from_dict(_order)

        order_placed = cls(
            status=status,
            order_id=order_id,
            order=order,
        )

        order_placed.additional_properties = d
        return order_placed

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
