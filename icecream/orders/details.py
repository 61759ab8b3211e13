"""What customers may add to an order: a reference of their own, a note, a delivery date."""

from datetime import date, datetime, timedelta
from typing import Annotated

from msgspec import Meta, Struct

from icecream import errors, fields
from icecream.tables import MAX_NOTE_LENGTH, MAX_REFERENCE_LENGTH

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


# A note may have several lines.
NOTE_PATTERN = r"^[^\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]+(?!\n)$"
Reference = Annotated[
    str,
    fields.one_line(
        MAX_REFERENCE_LENGTH, description="Your own number of the order.", examples=["PO-1207"]
    ),
]
Note = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_NOTE_LENGTH,
        pattern=NOTE_PATTERN,
        extra=fields.VISIBLE_TEXT_RULE,
        description="A note for the people who pack and deliver it.",
        examples=["Please ring at the back door."],
    ),
]
DeliveryDate = Annotated[
    date,
    Meta(
        description="The day on which you need it: today or later, at most a year ahead.",
        extra_json_schema={"maxLength": 10},
    ),
]


class AddedDetails(Struct, kw_only=True):
    """What a customer may add to an order."""

    reference: Reference | None = None
    note: Note | None = None
    delivery_date: DeliveryDate | None = None

    def strip(self) -> None:
        """Remove the white space around the texts.

        Raises:
            constraints.InvalidValue: a text has no visible character.
        """
        if self.reference is not None:
            self.reference = fields.strip_text("reference", self.reference)
        if self.note is not None:
            # Forms send line breaks as two characters.
            self.note = fields.strip_text("note", self.note.replace("\r\n", "\n"))

    @property
    def details(self) -> OrderDetails:
        """What the customer added."""
        return OrderDetails(self.reference, self.note, self.delivery_date)


NO_DETAILS = OrderDetails()
