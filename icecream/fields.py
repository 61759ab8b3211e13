"""The types of fields in requests and responses, and the base of request bodies."""

import unicodedata
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from icecream import constraints, errors, settings, states

# The largest id in requests and responses, as in the tables.
MAX_ID = 2**63 - 1


def words(title: str, allowed: Iterable[str]) -> Meta:
    """Return the words of a type, for the API document only."""
    return Meta(extra_json_schema={"enum": list(allowed)}, title=title)


# The API document writes a type with a title once, and refers to it.
Id = Annotated[int, Meta(ge=1, le=MAX_ID, title="Id")]
NonNegativeInt = Annotated[int, Meta(ge=0, le=MAX_ID, title="WholeNumber")]
# The Unicode categories of control and format characters, lone surrogates, and separators.
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# One line of text.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?!\n)$"
# For the extras of a type with such a pattern: error messages never show the pattern.
VISIBLE_TEXT_RULE = {"words": "{} without control characters"}


def one_line(
    max_length: int, *, description: str | None = None, examples: list[str] | None = None
) -> Meta:
    """Return the rule for a line of text, which is not empty."""
    return Meta(
        min_length=1,
        max_length=max_length,
        pattern=LINE_PATTERN,
        extra=VISIBLE_TEXT_RULE,
        description=description,
        examples=examples,
    )


def shown_text(max_length: int, description: str | None = None) -> Meta:
    """Document a text of a response; values of the database are shown without validation."""
    extra = {"maxLength": max_length, "pattern": r"\S"}
    return Meta(description=description, extra_json_schema=extra)


Reason = Annotated[str, one_line(200, examples=["melted on the way"])]
# Both become a part of the order's history.
ShownReason = Annotated[
    Reason, Meta(description="The order's customer sees it.", title="ShownReason")
]
InternalNote = Annotated[
    Reason,
    Meta(
        description="Only staff see it.",
        examples=["the driver confirmed it"],
        title="InternalNote",
    ),
]
# A day, without a time.
Day = Annotated[date, Meta(extra_json_schema={"maxLength": 10}, title="Day")]
Timestamp = Annotated[
    datetime, Meta(tz=True, extra_json_schema={"maxLength": 27}, title="Timestamp")
]
Name = Annotated[str, shown_text(100), Meta(title="Name")]
OrderStatus = Annotated[str, words("OrderStatus", states.ORDER)]
RefundReason = Annotated[str, words("RefundReason", states.REFUND_REASONS)]
Fulfilment = Annotated[str, words("FulfilmentState", states.FULFILMENT)]
Currency = Annotated[
    str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217.", title="Currency")
]
# For words that programs read: lowercase letters and hyphens.
KEBAB_CASE_PATTERN = r"^[a-z]+(-[a-z]+)*$"
Word = Annotated[str, Meta(max_length=100, pattern=KEBAB_CASE_PATTERN, title="Word")]
Text = Annotated[str, Meta(max_length=errors.MAX_TEXT_LENGTH, pattern=r"\S", title="Text")]
Amount = Annotated[
    NonNegativeInt, Meta(description="In minor units, such as cents.", title="Amount")
]
Path = Annotated[str, Meta(max_length=errors.MAX_TEXT_LENGTH, pattern="^(/|$)")]


class Body(Struct, forbid_unknown_fields=True):
    """A request body. Unknown members are refused, so that a misspelled member is noticed.

    If no member is required, the example in the API document has the `typical` members. If one of
    several sets of members is required, these sets are the `alternatives`.
    """

    typical: ClassVar[tuple[str, ...]] = ()
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()


def is_visible(text: str) -> bool:
    """Return whether a text has a character that is not a control, a mark or a space.

    Direction marks and zero-width characters are marks.
    """
    return any(unicodedata.category(character) not in INVISIBLE_CATEGORIES for character in text)


def strip_text(field: str, text: str) -> str:
    """Return the text of a field without surrounding white space.

    Raises:
        constraints.InvalidValue: it has no visible character.
    """
    stripped = text.strip()
    if not is_visible(stripped):
        raise constraints.InvalidValue(field, "must have a visible character")
    return stripped


def strip_texts(body: Struct, *names: str) -> None:
    """Strip the texts of a body that it has.

    Raises:
        constraints.InvalidValue: one has no visible character.
    """
    for name in names:
        if text := getattr(body, name):
            setattr(body, name, strip_text(name, text))


def require_chargeable(field: str, amount: int, show: Callable[[int], object] = int) -> None:
    """Refuse an amount of money that the payment provider would not move.

    `show` writes an amount in the message: in minor units, unless it is given.

    Raises:
        constraints.InvalidValue: it is not a multiple of the smallest unit that the provider moves.
    """
    step = settings.load().amount_step
    if amount % step:
        raise constraints.InvalidValue(
            field,
            f"must be a multiple of {show(step)}: the payment provider accepts no other amounts",
        )
