from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.new_refund_reason_code_type_0 import NewRefundReasonCodeType0
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.line_to_refund import LineToRefund


T = TypeVar("T", bound="NewRefund")


@_attrs_define
class NewRefund:
    """The reason, and an `amount` in minor units, or `lines`; without both, all that is left.

    `restock` puts the goods of the lines back into the stock. Without lines, it puts all goods back
    that were not refunded, together with a refund of all that is left.

        Attributes:
            reason (str): The order's customer sees it.
            internal_note (None | str | Unset):
            amount (int | None | Unset):
            reason_code (NewRefundReasonCodeType0 | None | Unset):
            lines (list[LineToRefund] | None | Unset):
            restock (bool | Unset):
    """

    reason: str
    internal_note: None | str | Unset = UNSET
    amount: int | None | Unset = UNSET
    reason_code: NewRefundReasonCodeType0 | None | Unset = UNSET
    lines: list[LineToRefund] | None | Unset = UNSET
    restock: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        reason = self.reason

        internal_note: None | str | Unset
        if isinstance(self.internal_note, Unset):
            internal_note = UNSET
        else:
            internal_note = self.internal_note

        amount: int | None | Unset
        if isinstance(self.amount, Unset):
            amount = UNSET
        else:
            amount = self.amount

        reason_code: None | str | Unset
        if isinstance(self.reason_code, Unset):
            reason_code = UNSET
        elif isinstance(self.reason_code, NewRefundReasonCodeType0):
            reason_code = self.reason_code.value
        else:
            reason_code = self.reason_code

        lines: list[dict[str, Any]] | None | Unset
        if isinstance(self.lines, Unset):
            lines = UNSET
        elif isinstance(self.lines, list):
            lines = []
            for lines_type_0_item_data in self.lines:
                lines_type_0_item = lines_type_0_item_data.to_dict()
                lines.append(lines_type_0_item)

        else:
            lines = self.lines

        restock = self.restock

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "reason": reason,
            }
        )
        if internal_note is not UNSET:
            field_dict["internal_note"] = internal_note
        if amount is not UNSET:
            field_dict["amount"] = amount
        if reason_code is not UNSET:
            field_dict["reason_code"] = reason_code
        if lines is not UNSET:
            field_dict["lines"] = lines
        if restock is not UNSET:
            field_dict["restock"] = restock

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.line_to_refund import LineToRefund  # noqa: PLC0415

        d = dict(src_dict)
        reason = d.pop("reason")

        def _parse_internal_note(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        internal_note = _parse_internal_note(d.pop("internal_note", UNSET))

        def _parse_amount(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        amount = _parse_amount(d.pop("amount", UNSET))

        def _parse_reason_code(data: object) -> NewRefundReasonCodeType0 | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                reason_code_type_0 = NewRefundReasonCodeType0(data)

                return reason_code_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(NewRefundReasonCodeType0 | None | Unset, data)

        reason_code = _parse_reason_code(d.pop("reason_code", UNSET))

        def _parse_lines(data: object) -> list[LineToRefund] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                lines_type_0 = []
                _lines_type_0 = data
                for lines_type_0_item_data in _lines_type_0:
                    lines_type_0_item = LineToRefund.from_dict(lines_type_0_item_data)

                    lines_type_0.append(lines_type_0_item)

                return lines_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[LineToRefund] | None | Unset, data)

        lines = _parse_lines(d.pop("lines", UNSET))

        restock = d.pop("restock", UNSET)

        new_refund = cls(
            reason=reason,
            internal_note=internal_note,
            amount=amount,
            reason_code=reason_code,
            lines=lines,
            restock=restock,
        )

        return new_refund
