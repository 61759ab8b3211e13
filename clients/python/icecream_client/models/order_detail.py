from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.action import Action
from ..models.fulfilment_state import FulfilmentState
from ..models.order_status import OrderStatus
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.failure import Failure
    from ..models.happening import Happening
    from ..models.line_view import LineView


T = TypeVar("T", bound="OrderDetail")


@_attrs_define
class OrderDetail:
    """An order with the allowed actions and its history.

    `failure` is the reason why the last payment of a failed order was declined.
    `cancel_requested`: the order becomes `canceled` when its payment or its refund has ended.

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
            cancel_requested (bool):
            actions (list[Action]):
            history (list[Happening]):
            failure (Failure | None | Unset):
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
    cancel_requested: bool
    actions: list[Action]
    history: list[Happening]
    failure: Failure | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.failure import Failure  # noqa: PLC0415

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

        cancel_requested = self.cancel_requested

        actions = []
        for actions_item_data in self.actions:
            actions_item = actions_item_data.value
            actions.append(actions_item)

        history = []
        for history_item_data in self.history:
            history_item = history_item_data.to_dict()
            history.append(history_item)

        failure: dict[str, Any] | None | Unset
        if isinstance(self.failure, Unset):
            failure = UNSET
        elif isinstance(self.failure, Failure):
            failure = self.failure.to_dict()
        else:
            failure = self.failure

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
                "cancel_requested": cancel_requested,
                "actions": actions,
                "history": history,
            }
        )
        if failure is not UNSET:
            field_dict["failure"] = failure

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.failure import Failure  # noqa: PLC0415
        from ..models.happening import Happening  # noqa: PLC0415
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

        cancel_requested = d.pop("cancel_requested")

        actions = []
        _actions = d.pop("actions")
        for actions_item_data in _actions:
            actions_item = Action(actions_item_data)

            actions.append(actions_item)

        history = []
        _history = d.pop("history")
        for history_item_data in _history:
            history_item = Happening.from_dict(history_item_data)

            history.append(history_item)

        def _parse_failure(data: object) -> Failure | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                failure_type_0 = Failure.from_dict(data)

                return failure_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Failure | None | Unset, data)

        failure = _parse_failure(d.pop("failure", UNSET))

        order_detail = cls(
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
            cancel_requested=cancel_requested,
            actions=actions,
            history=history,
            failure=failure,
        )

        order_detail.additional_properties = d
        return order_detail

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
