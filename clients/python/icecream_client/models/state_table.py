from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.state_table_actions import StateTableActions
    from ..models.state_table_fulfilment import StateTableFulfilment
    from ..models.state_table_order import StateTableOrder
    from ..models.state_table_payment import StateTablePayment


T = TypeVar("T", bound="StateTable")


@_attrs_define
class StateTable:
    """The allowed transitions of orders, payments and fulfilment, and the actions of users.

    Attributes:
        order (StateTableOrder):
        payment (StateTablePayment):
        fulfilment (StateTableFulfilment):
        actions (StateTableActions):
    """

    order: StateTableOrder
    payment: StateTablePayment
    fulfilment: StateTableFulfilment
    actions: StateTableActions
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        order = self.order.to_dict()

        payment = self.payment.to_dict()

        fulfilment = self.fulfilment.to_dict()

        actions = self.actions.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "order": order,
                "payment": payment,
                "fulfilment": fulfilment,
                "actions": actions,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.state_table_actions import StateTableActions  # noqa: PLC0415
        from ..models.state_table_fulfilment import StateTableFulfilment  # noqa: PLC0415
        from ..models.state_table_order import StateTableOrder  # noqa: PLC0415
        from ..models.state_table_payment import StateTablePayment  # noqa: PLC0415

        d = dict(src_dict)
        order = StateTableOrder.from_dict(d.pop("order"))

        payment = StateTablePayment.from_dict(d.pop("payment"))

        fulfilment = StateTableFulfilment.from_dict(d.pop("fulfilment"))

        actions = StateTableActions.from_dict(d.pop("actions"))

        state_table = cls(
            order=order,
            payment=payment,
            fulfilment=fulfilment,
            actions=actions,
        )

        state_table.additional_properties = d
        return state_table

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
