from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.interval import Interval

if TYPE_CHECKING:
    from ..models.figures import Figures
    from ..models.flavor_report import FlavorReport
    from ..models.latest import Latest
    from ..models.outcome import Outcome
    from ..models.parked_payment import ParkedPayment
    from ..models.period_figures import PeriodFigures
    from ..models.queue import Queue
    from ..models.stock_view import StockView
    from ..models.waiting import Waiting


T = TypeVar("T", bound="Dashboard")


@_attrs_define
class Dashboard:
    """The data of the dashboard: sales in a range of days, an earlier range, and now.

    The `previous` figures are of `previous_from` until before `previous_to`. If the range is not
    over, the days before are cut at the same time of day: at `previous_until`.

        Attributes:
            from_ (datetime.date):
            to (datetime.date):
            previous_from (datetime.date):
            previous_to (datetime.date):
            previous_until (datetime.datetime | None):
            interval (Interval):
            time_zone (str): The time zone of the days (IANA).
            currency (str): ISO 4217.
            totals (Figures): Sums of some orders.

                `revenue` is the charged amount, and `refunds` is the refunded part of it. `failure_rate` is
                the share of failed orders among the orders that are no longer pending; null if there are none.
            previous (Figures): Sums of some orders.

                `revenue` is the charged amount, and `refunds` is the refunded part of it. `failure_rate` is
                the share of failed orders among the orders that are no longer pending; null if there are none.
            periods (list[PeriodFigures]):
            flavors (list[FlavorReport]):
            outcomes (list[Outcome]):
            previous_outcomes (list[Outcome]):
            low_stock (list[StockView]):
            queue (Queue): The queue of jobs: due now, in flight at the provider, scheduled for later, or parked.
            oldest_pending (None | Waiting):
            latest_orders (list[Latest]):
            parked_payments (list[ParkedPayment]):
    """

    from_: datetime.date
    to: datetime.date
    previous_from: datetime.date
    previous_to: datetime.date
    previous_until: datetime.datetime | None
    interval: Interval
    time_zone: str
    currency: str
    totals: Figures
    previous: Figures
    periods: list[PeriodFigures]
    flavors: list[FlavorReport]
    outcomes: list[Outcome]
    previous_outcomes: list[Outcome]
    low_stock: list[StockView]
    queue: Queue
    oldest_pending: None | Waiting
    latest_orders: list[Latest]
    parked_payments: list[ParkedPayment]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.waiting import Waiting  # noqa: PLC0415

        from_ = self.from_.isoformat()

        to = self.to.isoformat()

        previous_from = self.previous_from.isoformat()

        previous_to = self.previous_to.isoformat()

        previous_until: None | str
        if isinstance(self.previous_until, datetime.datetime):
            previous_until = self.previous_until.isoformat()
        else:
            previous_until = self.previous_until

        interval = self.interval.value

        time_zone = self.time_zone

        currency = self.currency

        totals = self.totals.to_dict()

        previous = self.previous.to_dict()

        periods = []
        for periods_item_data in self.periods:
            periods_item = periods_item_data.to_dict()
            periods.append(periods_item)

        flavors = []
        for flavors_item_data in self.flavors:
            flavors_item = flavors_item_data.to_dict()
            flavors.append(flavors_item)

        outcomes = []
        for outcomes_item_data in self.outcomes:
            outcomes_item = outcomes_item_data.to_dict()
            outcomes.append(outcomes_item)

        previous_outcomes = []
        for previous_outcomes_item_data in self.previous_outcomes:
            previous_outcomes_item = previous_outcomes_item_data.to_dict()
            previous_outcomes.append(previous_outcomes_item)

        low_stock = []
        for low_stock_item_data in self.low_stock:
            low_stock_item = low_stock_item_data.to_dict()
            low_stock.append(low_stock_item)

        queue = self.queue.to_dict()

        oldest_pending: dict[str, Any] | None
        if isinstance(self.oldest_pending, Waiting):
            oldest_pending = self.oldest_pending.to_dict()
        else:
            oldest_pending = self.oldest_pending

        latest_orders = []
        for latest_orders_item_data in self.latest_orders:
            latest_orders_item = latest_orders_item_data.to_dict()
            latest_orders.append(latest_orders_item)

        parked_payments = []
        for parked_payments_item_data in self.parked_payments:
            parked_payments_item = parked_payments_item_data.to_dict()
            parked_payments.append(parked_payments_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "from": from_,
                "to": to,
                "previous_from": previous_from,
                "previous_to": previous_to,
                "previous_until": previous_until,
                "interval": interval,
                "time_zone": time_zone,
                "currency": currency,
                "totals": totals,
                "previous": previous,
                "periods": periods,
                "flavors": flavors,
                "outcomes": outcomes,
                "previous_outcomes": previous_outcomes,
                "low_stock": low_stock,
                "queue": queue,
                "oldest_pending": oldest_pending,
                "latest_orders": latest_orders,
                "parked_payments": parked_payments,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.figures import Figures  # noqa: PLC0415
        from ..models.flavor_report import FlavorReport  # noqa: PLC0415
        from ..models.latest import Latest  # noqa: PLC0415
        from ..models.outcome import Outcome  # noqa: PLC0415
        from ..models.parked_payment import ParkedPayment  # noqa: PLC0415
        from ..models.period_figures import PeriodFigures  # noqa: PLC0415
        from ..models.queue import Queue  # noqa: PLC0415
        from ..models.stock_view import StockView  # noqa: PLC0415
        from ..models.waiting import Waiting  # noqa: PLC0415

        d = dict(src_dict)
        from_ = datetime.date.fromisoformat(d.pop("from"))

        to = datetime.date.fromisoformat(d.pop("to"))

        previous_from = datetime.date.fromisoformat(d.pop("previous_from"))

        previous_to = datetime.date.fromisoformat(d.pop("previous_to"))

        def _parse_previous_until(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                previous_until_type_0 = datetime.datetime.fromisoformat(data)

                return previous_until_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None, data)

        previous_until = _parse_previous_until(d.pop("previous_until"))

        interval = Interval(d.pop("interval"))

        time_zone = d.pop("time_zone")

        currency = d.pop("currency")

        totals = Figures.from_dict(d.pop("totals"))

        previous = Figures.from_dict(d.pop("previous"))

        periods = []
        _periods = d.pop("periods")
        for periods_item_data in _periods:
            periods_item = PeriodFigures.from_dict(periods_item_data)

            periods.append(periods_item)

        flavors = []
        _flavors = d.pop("flavors")
        for flavors_item_data in _flavors:
            flavors_item = FlavorReport.from_dict(flavors_item_data)

            flavors.append(flavors_item)

        outcomes = []
        _outcomes = d.pop("outcomes")
        for outcomes_item_data in _outcomes:
            outcomes_item = Outcome.from_dict(outcomes_item_data)

            outcomes.append(outcomes_item)

        previous_outcomes = []
        _previous_outcomes = d.pop("previous_outcomes")
        for previous_outcomes_item_data in _previous_outcomes:
            previous_outcomes_item = Outcome.from_dict(previous_outcomes_item_data)

            previous_outcomes.append(previous_outcomes_item)

        low_stock = []
        _low_stock = d.pop("low_stock")
        for low_stock_item_data in _low_stock:
            low_stock_item = StockView.from_dict(low_stock_item_data)

            low_stock.append(low_stock_item)

        queue = Queue.from_dict(d.pop("queue"))

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

        latest_orders = []
        _latest_orders = d.pop("latest_orders")
        for latest_orders_item_data in _latest_orders:
            latest_orders_item = Latest.from_dict(latest_orders_item_data)

            latest_orders.append(latest_orders_item)

        parked_payments = []
        _parked_payments = d.pop("parked_payments")
        for parked_payments_item_data in _parked_payments:
            parked_payments_item = ParkedPayment.from_dict(parked_payments_item_data)

            parked_payments.append(parked_payments_item)

        dashboard = cls(
            from_=from_,
            to=to,
            previous_from=previous_from,
            previous_to=previous_to,
            previous_until=previous_until,
            interval=interval,
            time_zone=time_zone,
            currency=currency,
            totals=totals,
            previous=previous,
            periods=periods,
            flavors=flavors,
            outcomes=outcomes,
            previous_outcomes=previous_outcomes,
            low_stock=low_stock,
            queue=queue,
            oldest_pending=oldest_pending,
            latest_orders=latest_orders,
            parked_payments=parked_payments,
        )

        dashboard.additional_properties = d
        return dashboard

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
