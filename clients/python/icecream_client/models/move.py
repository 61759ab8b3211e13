from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.move_to import MoveTo
from ..types import UNSET, Unset

T = TypeVar("T", bound="Move")


@_attrs_define
class Move:
    """Orders, the state `to` which they move, and perhaps a reason and a note.

    Attributes:
        orders (list[int]):
        to (MoveTo):
        reason (None | str | Unset):
        internal_note (None | str | Unset):
    """

    orders: list[int]
    to: MoveTo
    reason: None | str | Unset = UNSET
    internal_note: None | str | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        orders = self.orders

        to = self.to.value

        reason: None | str | Unset
        if isinstance(self.reason, Unset):
            reason = UNSET
        else:
            reason = self.reason

        internal_note: None | str | Unset
        if isinstance(self.internal_note, Unset):
            internal_note = UNSET
        else:
            internal_note = self.internal_note

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "orders": orders,
                "to": to,
            }
        )
        if reason is not UNSET:
            field_dict["reason"] = reason
        if internal_note is not UNSET:
            field_dict["internal_note"] = internal_note

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        orders = cast(list[int], d.pop("orders"))

        to = MoveTo(d.pop("to"))

        def _parse_reason(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        reason = _parse_reason(d.pop("reason", UNSET))

        def _parse_internal_note(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        internal_note = _parse_internal_note(d.pop("internal_note", UNSET))

        move = cls(
            orders=orders,
            to=to,
            reason=reason,
            internal_note=internal_note,
        )

        return move
