from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.decision import Decision
from ..models.payment_kind import PaymentKind
from ..models.payment_state import PaymentState
from ..models.refund_reason import RefundReason
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.failure import Failure


T = TypeVar("T", bound="PaymentView")


@_attrs_define
class PaymentView:
    """One attempt to move money. `unknown`: no definite answer yet. `parked`: needs a decision.

    `failure` is the reason of a decline, `last_error` the provider's last error text.
    `moved` is the amount that the provider moved, if it differs from the requested `amount`.
    `actions` are the decisions that staff can make. `reason_code` says why staff refund goods.

        Attributes:
            id (int):
            order (int):
            kind (PaymentKind):
            n (int): The number of the attempt, for each kind.
            state (PaymentState):
            amount (int): In minor units, such as cents.
            moved (int | None):
            currency (str): ISO 4217.
            provider_key (str):
            provider_ref (None | str):
            tries (int):
            first_sent_at (datetime.datetime | None):
            last_error (None | str):
            actions (list[Decision]):
            failure (Failure | None | Unset):
            reason_code (None | RefundReason | Unset):
    """

    id: int
    order: int
    kind: PaymentKind
    n: int
    state: PaymentState
    amount: int
    moved: int | None
    currency: str
    provider_key: str
    provider_ref: None | str
    tries: int
    first_sent_at: datetime.datetime | None
    last_error: None | str
    actions: list[Decision]
    failure: Failure | None | Unset = UNSET
    reason_code: None | RefundReason | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.failure import Failure  # noqa: PLC0415

        id = self.id

        order = self.order

        kind = self.kind.value

        n = self.n

        state = self.state.value

        amount = self.amount

        moved: int | None
        moved = self.moved

        currency = self.currency

        provider_key = self.provider_key

        provider_ref: None | str
        provider_ref = self.provider_ref

        tries = self.tries

        first_sent_at: None | str
        if isinstance(self.first_sent_at, datetime.datetime):
            first_sent_at = self.first_sent_at.isoformat()
        else:
            first_sent_at = self.first_sent_at

        last_error: None | str
        last_error = self.last_error

        actions = []
        for actions_item_data in self.actions:
            actions_item = actions_item_data.value
            actions.append(actions_item)

        failure: dict[str, Any] | None | Unset
        if isinstance(self.failure, Unset):
            failure = UNSET
        elif isinstance(self.failure, Failure):
            failure = self.failure.to_dict()
        else:
            failure = self.failure

        reason_code: None | str | Unset
        if isinstance(self.reason_code, Unset):
            reason_code = UNSET
        elif isinstance(self.reason_code, RefundReason):
            reason_code = self.reason_code.value
        else:
            reason_code = self.reason_code

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "order": order,
                "kind": kind,
                "n": n,
                "state": state,
                "amount": amount,
                "moved": moved,
                "currency": currency,
                "provider_key": provider_key,
                "provider_ref": provider_ref,
                "tries": tries,
                "first_sent_at": first_sent_at,
                "last_error": last_error,
                "actions": actions,
            }
        )
        if failure is not UNSET:
            field_dict["failure"] = failure
        if reason_code is not UNSET:
            field_dict["reason_code"] = reason_code

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.failure import Failure  # noqa: PLC0415

        d = dict(src_dict)
        id = d.pop("id")

        order = d.pop("order")

        kind = PaymentKind(d.pop("kind"))

        n = d.pop("n")

        state = PaymentState(d.pop("state"))

        amount = d.pop("amount")

        def _parse_moved(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        moved = _parse_moved(d.pop("moved"))

        currency = d.pop("currency")

        provider_key = d.pop("provider_key")

        def _parse_provider_ref(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        provider_ref = _parse_provider_ref(d.pop("provider_ref"))

        tries = d.pop("tries")

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

        def _parse_last_error(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        last_error = _parse_last_error(d.pop("last_error"))

        actions = []
        _actions = d.pop("actions")
        for actions_item_data in _actions:
            actions_item = Decision(actions_item_data)

            actions.append(actions_item)

        def _parse_failure(data: object) -> Failure | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                failure_type_0 = Failure.from_dict(data)

                return failure_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Failure | None | Unset, data)

        failure = _parse_failure(d.pop("failure", UNSET))

        def _parse_reason_code(data: object) -> None | RefundReason | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                reason_code_type_0 = RefundReason(data)

                return reason_code_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RefundReason | Unset, data)

        reason_code = _parse_reason_code(d.pop("reason_code", UNSET))

        payment_view = cls(
            id=id,
            order=order,
            kind=kind,
            n=n,
            state=state,
            amount=amount,
            moved=moved,
            currency=currency,
            provider_key=provider_key,
            provider_ref=provider_ref,
            tries=tries,
            first_sent_at=first_sent_at,
            last_error=last_error,
            actions=actions,
            failure=failure,
            reason_code=reason_code,
        )

        payment_view.additional_properties = d
        return payment_view

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
