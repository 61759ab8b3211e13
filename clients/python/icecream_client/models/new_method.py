from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

T = TypeVar("T", bound="NewMethod")


@_attrs_define
class NewMethod:
    """The payment method for new orders: the provider's reference, or null for none.

    Attributes:
        reference (None | str):
    """

    reference: None | str

    def to_dict(self) -> dict[str, Any]:
        reference: None | str
        reference = self.reference

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "reference": reference,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)

        def _parse_reference(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        reference = _parse_reference(d.pop("reference"))

        new_method = cls(
            reference=reference,
        )

        return new_method
