from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="ParkedPayment")


@_attrs_define
class ParkedPayment:
    """A payment that waits for a decision of staff, and the reason.

    Attributes:
        payment (int):
        order (int):
        kind (str):
        amount (int): In minor units, such as cents.
        moved (int | None):
        why (None | str):
        first_sent_at (datetime.datetime | None):
    """

    payment: int
    order: int
    kind: str
    amount: int
    moved: int | None
    why: None | str
    first_sent_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        payment = self.payment

        order = self.order

        kind = self.kind

        amount = self.amount

        moved: int | None
        moved = self.moved

        why: None | str
        why = self.why

        first_sent_at: None | str
        if isinstance(self.first_sent_at, datetime.datetime):
            first_sent_at = self.first_sent_at.isoformat()
        else:
            first_sent_at = self.first_sent_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "payment": payment,
                "order": order,
                "kind": kind,
                "amount": amount,
                "moved": moved,
                "why": why,
                "first_sent_at": first_sent_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        payment = d.pop("payment")

        order = d.pop("order")

        kind = d.pop("kind")

        amount = d.pop("amount")

        def _parse_moved(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        moved = _parse_moved(d.pop("moved"))

        def _parse_why(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        why = _parse_why(d.pop("why"))

        def _parse_first_sent_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                first_sent_at_type_0 = datetime.datetime.fromisoformat(data)

                return first_sent_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        first_sent_at = _parse_first_sent_at(d.pop("first_sent_at"))

        parked_payment = cls(
            payment=payment,
            order=order,
            kind=kind,
            amount=amount,
            moved=moved,
            why=why,
            first_sent_at=first_sent_at,
        )

        parked_payment.additional_properties = d
        return parked_payment

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
