from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

T = TypeVar("T", bound="SecretRotation")


@_attrs_define
class SecretRotation:
    """How long the old secret signs too; 0 after a leak.

    Attributes:
        overlap_hours (int):
    """

    overlap_hours: int

    def to_dict(self) -> dict[str, Any]:
        overlap_hours = self.overlap_hours

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "overlap_hours": overlap_hours,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        overlap_hours = d.pop("overlap_hours")

        secret_rotation = cls(
            overlap_hours=overlap_hours,
        )

        return secret_rotation
