from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define

from ..types import UNSET, Unset

T = TypeVar("T", bound="Revocation")


@_attrs_define
class Revocation:
    """A refresh token to end; with `all`, every sign-in of its account ends.

    Attributes:
        refresh (str):
        all_ (bool | Unset):
    """

    refresh: str
    all_: bool | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        refresh = self.refresh

        all_ = self.all_

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "refresh": refresh,
            }
        )
        if all_ is not UNSET:
            field_dict["all"] = all_

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        refresh = d.pop("refresh")

        all_ = d.pop("all", UNSET)

        revocation = cls(
            refresh=refresh,
            all_=all_,
        )

        return revocation
