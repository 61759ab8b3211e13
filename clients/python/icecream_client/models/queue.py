from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

T = TypeVar("T", bound="Queue")


@_attrs_define
class Queue:
    """The queue of jobs: due now, in flight at the provider, scheduled for later, or parked.

    Attributes:
        due (int):
        in_flight (int):
        later (int):
        parked (int):
        oldest_due (float | None):
    """

    due: int
    in_flight: int
    later: int
    parked: int
    oldest_due: float | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        due = self.due

        in_flight = self.in_flight

        later = self.later

        parked = self.parked

        oldest_due: float | None
        oldest_due = self.oldest_due

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "due": due,
                "in_flight": in_flight,
                "later": later,
                "parked": parked,
                "oldest_due": oldest_due,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        due = d.pop("due")

        in_flight = d.pop("in_flight")

        later = d.pop("later")

        parked = d.pop("parked")

        def _parse_oldest_due(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        oldest_due = _parse_oldest_due(d.pop("oldest_due"))

        queue = cls(
            due=due,
            in_flight=in_flight,
            later=later,
            parked=parked,
            oldest_due=oldest_due,
        )

        queue.additional_properties = d
        return queue

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
