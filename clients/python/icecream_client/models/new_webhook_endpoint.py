from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define

from ..models.event_type import EventType
from ..types import UNSET, Unset

T = TypeVar("T", bound="NewWebhookEndpoint")


@_attrs_define
class NewWebhookEndpoint:
    """A URL to which the events of your orders are sent; of all orders, if you are staff.

    Attributes:
        url (str):
        description (str | Unset):
        types (list[EventType] | None | Unset):
    """

    url: str
    description: str | Unset = UNSET
    types: list[EventType] | None | Unset = UNSET

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        description = self.description

        types: list[str] | None | Unset
        if isinstance(self.types, Unset):
            types = UNSET
        elif isinstance(self.types, list):
            types = []
            for componentsschemas_event_types_item_data in self.types:
                componentsschemas_event_types_item = componentsschemas_event_types_item_data.value
                types.append(componentsschemas_event_types_item)

        else:
            types = self.types

        field_dict: dict[str, Any] = {}

        field_dict.update(
            {
                "url": url,
            }
        )
        if description is not UNSET:
            field_dict["description"] = description
        if types is not UNSET:
            field_dict["types"] = types

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = d.pop("url")

        description = d.pop("description", UNSET)

        def _parse_types(data: object) -> list[EventType] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                types_type_0 = []
                _types_type_0 = data
                for componentsschemas_event_types_item_data in _types_type_0:
                    componentsschemas_event_types_item = EventType(
                        componentsschemas_event_types_item_data
                    )

                    types_type_0.append(componentsschemas_event_types_item)

                return types_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[EventType] | None | Unset, data)

        types = _parse_types(d.pop("types", UNSET))

        new_webhook_endpoint = cls(
            url=url,
            description=description,
            types=types,
        )

        return new_webhook_endpoint
