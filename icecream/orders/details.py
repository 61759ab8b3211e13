"""What customers may add to an order: a reference of their own, a note, a delivery date."""

from datetime import date, datetime, timedelta

from msgspec import Struct

from icecream import errors

# A later date is most likely a typing error.
MAX_DAYS_AHEAD = 366
# The time zone in which a day ends last is 12 hours behind UTC.
LAST_TIME_ZONE = timedelta(hours=-12)


class OrderDetails(Struct, frozen=True):
    """What a customer added to an order; None where nothing was added."""

    reference: str | None = None
    note: str | None = None
    delivery_date: date | None = None

    def require_possible_date(self, now: datetime) -> None:
        """Refuse a delivery date in the past, or too far ahead.

        Raises:
            errors.ValidationFailed: the date is neither today anywhere on Earth nor one of the
                following days.
        """
        if self.delivery_date is None:
            return
        first = (now + LAST_TIME_ZONE).date()
        last = first + timedelta(days=MAX_DAYS_AHEAD)
        if not first <= self.delivery_date <= last:
            detail = f"delivery_date must be a day from {first} to {last}."
            raise errors.ValidationFailed("/delivery_date", "invalid", detail)


NO_DETAILS = OrderDetails()
