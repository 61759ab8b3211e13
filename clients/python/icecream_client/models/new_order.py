from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.new_line import NewLine


T = TypeVar("T", bound="NewOrder")


@_attrs_define
class NewOrder:
    """A quantity of one flavor, or `lines` for several; lines of the same flavor are added up.

    Attributes:
        reference (None | str | Unset):
        note (None | str | Unset):
        delivery_date (datetime.date | None | Unset):
        quantity (int | Unset):
        flavor (int | Unset): The id of the flavor.
        sku (str | Unset): Your article number (stock keeping unit); unique.
        lines (list[NewLine] | Unset):
    """

    reference: None | str | Unset = UNSET
    note: None | str | Unset = UNSET
    delivery_date: datetime.date | None | Unset = UNSET
    quantity: int | Unset = UNSET
    flavor: int | Unset = UNSET
    sku: str | Unset = UNSET
    lines: list[NewLine] | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        reference: None | str | Unset
        if isinstance(self.reference, Unset):
            reference = UNSET
        else:
            reference = self.reference

        note: None | str | Unset
        if isinstance(self.note, Unset):
            note = UNSET
        else:
            note = self.note

        delivery_date: None | str | Unset
        if isinstance(self.delivery_date, Unset):
            delivery_date = UNSET
        elif isinstance(self.delivery_date, datetime.date):
            delivery_date = self.delivery_date.isoformat()
        else:
            delivery_date = self.delivery_date

        quantity = self.quantity

        flavor = self.flavor

        sku = self.sku

        lines: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.lines, Unset):
            lines = []
            for lines_item_data in self.lines:
                lines_item = lines_item_data.to_dict()
                lines.append(lines_item)

        field_dict: dict[str, Any] = {}

        field_dict.update({})
        if reference is not UNSET:
            field_dict["reference"] = reference
        if note is not UNSET:
            field_dict["note"] = note
        if delivery_date is not UNSET:
            field_dict["delivery_date"] = delivery_date
        if quantity is not UNSET:
            field_dict["quantity"] = quantity
        if flavor is not UNSET:
            field_dict["flavor"] = flavor
        if sku is not UNSET:
            field_dict["sku"] = sku
        if lines is not UNSET:
            field_dict["lines"] = lines

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.new_line import NewLine  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_reference(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        reference = _parse_reference(d.pop("reference", UNSET))

        def _parse_note(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        note = _parse_note(d.pop("note", UNSET))

        def _parse_delivery_date(data: object) -> datetime.date | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                delivery_date_type_0 = datetime.date.fromisoformat(data)

                return delivery_date_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None | Unset, data)

        delivery_date = _parse_delivery_date(d.pop("delivery_date", UNSET))

        quantity = d.pop("quantity", UNSET)

        flavor = d.pop("flavor", UNSET)

        sku = d.pop("sku", UNSET)

        _lines = d.pop("lines", UNSET)
        lines: list[NewLine] | Unset = UNSET
        if _lines is not UNSET:
            lines = []
            for lines_item_data in _lines:
                lines_item = NewLine.from_dict(lines_item_data)

                lines.append(lines_item)

        new_order = cls(
            reference=reference,
            note=note,
            delivery_date=delivery_date,
            quantity=quantity,
            flavor=flavor,
            sku=sku,
            lines=lines,
        )

        return new_order
