"""The types of fields in requests and responses, and the base of request bodies."""

import unicodedata
from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from icecream import constraints, errors, settings, states

# The largest id in requests and responses, as in the tables.
MAX_ID = 2**63 - 1
Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
NonNegativeInt = Annotated[int, Meta(ge=0, le=MAX_ID)]
# The Unicode categories of control and format characters, lone surrogates, and separators.
INVISIBLE_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# One line of text.
LINE_PATTERN = r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?!\n)$"
# For the extras of a type with such a pattern: error messages never show the pattern.
VISIBLE_TEXT_RULE = {"words": "{} without control characters"}
Reason = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=200,
        pattern=LINE_PATTERN,
        extra=VISIBLE_TEXT_RULE,
        examples=["melted on the way"],
    ),
]
# Becomes a part of the order's history.
ShownReason = Annotated[Reason, Meta(description="The order's customer sees it.")]
Timestamp = Annotated[datetime, Meta(tz=True, extra_json_schema={"maxLength": 27})]
# Documented, not validated: values of the database are always shown.
Name = Annotated[str, Meta(extra_json_schema={"maxLength": 100, "pattern": r"\S"})]
OrderStatus = Annotated[str, Meta(extra_json_schema={"enum": list(states.ORDER)})]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217.")]
# For words that programs read: lowercase letters and hyphens.
KEBAB_CASE_PATTERN = r"^[a-z]+(-[a-z]+)*$"
Word = Annotated[str, Meta(max_length=100, pattern=KEBAB_CASE_PATTERN)]
Text = Annotated[str, Meta(max_length=errors.MAX_TEXT_LENGTH, pattern=r"\S")]
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


def require_chargeable(field: str, amount: int) -> None:
    """Refuse an amount of money that the payment provider would not move.

    Raises:
        constraints.InvalidValue: it is not a multiple of the smallest unit that the provider moves.
    """
    step = settings.load().amount_step
    if amount % step:
        raise constraints.InvalidValue(
            field, f"must be a multiple of {step}: the payment provider accepts no other amounts"
        )
