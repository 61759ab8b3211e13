from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.interval import Interval
from ..models.order_status import OrderStatus

if TYPE_CHECKING:
    from ..models.customer_figures import CustomerFigures
    from ..models.figures import Figures
    from ..models.flavor_report import FlavorReport
    from ..models.period_report import PeriodReport
    from ..models.queue import Queue
    from ..models.waiting import Waiting


T = TypeVar("T", bound="Report")


@_attrs_define
class Report:
    """Sales in a range of days: in total, by flavor, period and customer; and the current queue.

    An order belongs to the day on which it was placed, in the `time_zone`. With an `interval`,
    `periods` has the periods with orders; without one it is empty.

        Attributes:
            from_ (datetime.date | None):
            to (datetime.date | None):
            status (None | OrderStatus):
            interval (Interval | None):
            time_zone (str): The time zone of the days (IANA).
            currency (str): ISO 4217.
            totals (Figures): Sums of some orders.

                `revenue` is the charged amount, and `refunds` is the refunded part of it. `failure_rate` is
                the share of failed orders among the orders that are no longer pending; null if there are none.
            flavors (list[FlavorReport]):
            periods (list[PeriodReport]):
            top_customers (list[CustomerFigures]):
            oldest_pending (None | Waiting):
            queue (Queue): The queue of jobs: due now, in flight at the provider, scheduled for later, or parked.
    """

    from_: datetime.date | None
    to: datetime.date | None
    status: None | OrderStatus
    interval: Interval | None
    time_zone: str
    currency: str
    totals: Figures
    flavors: list[FlavorReport]
    periods: list[PeriodReport]
    top_customers: list[CustomerFigures]
    oldest_pending: None | Waiting
    queue: Queue
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.waiting import Waiting  # noqa: PLC0415

        from_: None | str
        if isinstance(self.from_, datetime.date):
            from_ = self.from_.isoformat()
        else:
            from_ = self.from_

        to: None | str
        if isinstance(self.to, datetime.date):
            to = self.to.isoformat()
        else:
            to = self.to

        status: None | str
        if isinstance(self.status, OrderStatus):
            status = self.status.value
        else:
            status = self.status

        interval: None | str
        if isinstance(self.interval, Interval):
            interval = self.interval.value
        else:
            interval = self.interval

        time_zone = self.time_zone

        currency = self.currency

        totals = self.totals.to_dict()

        flavors = []
        for flavors_item_data in self.flavors:
            flavors_item = flavors_item_data.to_dict()
            flavors.append(flavors_item)

        periods = []
        for periods_item_data in self.periods:
            periods_item = periods_item_data.to_dict()
            periods.append(periods_item)

        top_customers = []
        for top_customers_item_data in self.top_customers:
            top_customers_item = top_customers_item_data.to_dict()
            top_customers.append(top_customers_item)

        oldest_pending: dict[str, Any] | None
        if isinstance(self.oldest_pending, Waiting):
            oldest_pending = self.oldest_pending.to_dict()
        else:
            oldest_pending = self.oldest_pending

        queue = self.queue.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "from": from_,
                "to": to,
                "status": status,
                "interval": interval,
                "time_zone": time_zone,
                "currency": currency,
                "totals": totals,
                "flavors": flavors,
                "periods": periods,
                "top_customers": top_customers,
                "oldest_pending": oldest_pending,
                "queue": queue,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.customer_figures import CustomerFigures  # noqa: PLC0415
        from ..models.figures import Figures  # noqa: PLC0415
        from ..models.flavor_report import FlavorReport  # noqa: PLC0415
        from ..models.period_report import PeriodReport  # noqa: PLC0415
        from ..models.queue import Queue  # noqa: PLC0415
        from ..models.waiting import Waiting  # noqa: PLC0415

        d = dict(src_dict)

        def _parse_from_(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                from_type_0 = datetime.date.fromisoformat(data)

                return from_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        from_ = _parse_from_(d.pop("from"))

        def _parse_to(data: object) -> datetime.date | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                to_type_0 = datetime.date.fromisoformat(data)

                return to_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.date | None, data)

        to = _parse_to(d.pop("to"))

        def _parse_status(data: object) -> None | OrderStatus:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                status_type_0 = OrderStatus(data)

                return status_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | OrderStatus, data)

        status = _parse_status(d.pop("status"))

        def _parse_interval(data: object) -> Interval | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                interval_type_0 = Interval(data)

                return interval_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(Interval | None, data)

        interval = _parse_interval(d.pop("interval"))

        time_zone = d.pop("time_zone")

        currency = d.pop("currency")

        totals = Figures.from_dict(d.pop("totals"))

        flavors = []
        _flavors = d.pop("flavors")
        for flavors_item_data in _flavors:
            flavors_item = FlavorReport.from_dict(flavors_item_data)

            flavors.append(flavors_item)

        periods = []
        _periods = d.pop("periods")
        for periods_item_data in _periods:
            periods_item = PeriodReport.from_dict(periods_item_data)

            periods.append(periods_item)

        top_customers = []
        _top_customers = d.pop("top_customers")
        for top_customers_item_data in _top_customers:
            top_customers_item = CustomerFigures.from_dict(top_customers_item_data)

            top_customers.append(top_customers_item)

        def _parse_oldest_pending(data: object) -> None | Waiting:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                oldest_pending_type_0 = Waiting.from_dict(data)

                return oldest_pending_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | Waiting, data)

        oldest_pending = _parse_oldest_pending(d.pop("oldest_pending"))

        queue = Queue.from_dict(d.pop("queue"))

        report = cls(
            from_=from_,
            to=to,
            status=status,
            interval=interval,
            time_zone=time_zone,
            currency=currency,
            totals=totals,
            flavors=flavors,
            periods=periods,
            top_customers=top_customers,
            oldest_pending=oldest_pending,
            queue=queue,
        )

        report.additional_properties = d
        return report

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
