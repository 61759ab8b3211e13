from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.history_event_type import HistoryEventType
from ..models.refund_reason import RefundReason
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.refunded_line import RefundedLine


T = TypeVar("T", bound="Happening")


@_attrs_define
class Happening:
    """An entry in an order's history; `by` is the id of a user, or null for the service.

    A refund of lines names them, and whether their goods were `restocked`. Only staff see an
    `internal_note`.

        Attributes:
            type_ (HistoryEventType):
            at (datetime.datetime):
            by (int | None):
            reason (str | Unset):
            amount (int | Unset): In minor units, such as cents.
            reason_code (RefundReason | Unset):
            lines (list[RefundedLine] | Unset):
            restocked (bool | Unset):
            internal_note (str | Unset):
    """

    type_: HistoryEventType
    at: datetime.datetime
    by: int | None
    reason: str | Unset = UNSET
    amount: int | Unset = UNSET
    reason_code: RefundReason | Unset = UNSET
    lines: list[RefundedLine] | Unset = UNSET
    restocked: bool | Unset = UNSET
    internal_note: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        type_ = self.type_.value

        at = self.at.isoformat()

        by: int | None
        by = self.by

        reason = self.reason

        amount = self.amount

        reason_code: str | Unset = UNSET
        if not isinstance(self.reason_code, Unset):
            reason_code = self.reason_code.value

        lines: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.lines, Unset):
            lines = []
            for lines_item_data in self.lines:
                lines_item = lines_item_data.to_dict()
                lines.append(lines_item)

        restocked = self.restocked

        internal_note = self.internal_note

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "type": type_,
                "at": at,
                "by": by,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason
        if amount is not UNSET:
            field_dict["amount"] = amount
        if reason_code is not UNSET:
            field_dict["reason_code"] = reason_code
        if lines is not UNSET:
            field_dict["lines"] = lines
        if restocked is not UNSET:
            field_dict["restocked"] = restocked
        if internal_note is not UNSET:
            field_dict["internal_note"] = internal_note

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.refunded_line import RefundedLine  # noqa: PLC0415

        d = dict(src_dict)
        type_ = HistoryEventType(d.pop("type"))

        at = datetime.datetime.fromisoformat(d.pop("at"))

        def _parse_by(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        by = _parse_by(d.pop("by"))

        reason = d.pop("reason", UNSET)

        amount = d.pop("amount", UNSET)

        _reason_code = d.pop("reason_code", UNSET)
        reason_code: RefundReason | Unset
        if isinstance(_reason_code, Unset):
            reason_code = UNSET
        else:
            reason_code = RefundReason(_reason_code)

        _lines = d.pop("lines", UNSET)
        lines: list[RefundedLine] | Unset = UNSET
        if _lines is not UNSET:
            lines = []
            for lines_item_data in _lines:
                lines_item = RefundedLine.from_dict(lines_item_data)

                lines.append(lines_item)

        restocked = d.pop("restocked", UNSET)

        internal_note = d.pop("internal_note", UNSET)

        happening = cls(
            type_=type_,
            at=at,
            by=by,
            reason=reason,
            amount=amount,
            reason_code=reason_code,
            lines=lines,
            restocked=restocked,
            internal_note=internal_note,
        )

        happening.additional_properties = d
        return happening

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
