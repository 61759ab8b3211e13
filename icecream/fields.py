"""The types of fields in requests and responses, and the base of request bodies."""

from datetime import datetime
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from icecream import constraints, errors, settings

# An id in requests and responses, with the same range as in the tables.
MAX_ID = 2**63 - 1
Id = Annotated[int, Meta(ge=1, le=MAX_ID)]
Number = Annotated[int, Meta(ge=0, le=MAX_ID)]
# A line of visible text.
LINE = r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?!\n)$"
# For the extras of a type with such a pattern: error messages never show the pattern.
VISIBLE = {"words": "{} without control characters"}
Reason = Annotated[
    str,
    Meta(min_length=1, max_length=200, pattern=LINE, extra=VISIBLE, examples=["melted on the way"]),
]
Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"maxLength": 27})]
# Documented, not validated: values of the database are always shown.
Name = Annotated[str, Meta(extra_json_schema={"maxLength": 100, "pattern": r"\S"})]
Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", max_length=3, description="ISO 4217.")]
# For words of a program: small letters and hyphens.
KEBAB = r"^[a-z]+(-[a-z]+)*$"
Word = Annotated[str, Meta(max_length=100, pattern=KEBAB)]
Text = Annotated[str, Meta(max_length=errors.MAX_TEXT_LENGTH, pattern=r"\S")]
Path = Annotated[str, Meta(max_length=errors.MAX_TEXT_LENGTH, pattern="^(/|$)")]


class Body(Struct, forbid_unknown_fields=True):
    """What comes in; an unknown member is refused, so that a misspelt one cannot go unnoticed.

    Where no member is required, the document shows an example with the `typical` ones; and where
    it has to be one of several sets of members, these are the `alternatives`.
    """

    typical: ClassVar[tuple[str, ...]] = ()
    alternatives: ClassVar[tuple[tuple[str, ...], ...]] = ()


def said(reason: str) -> str:
    """Return a reason without surrounding white space.

    Raises:
        constraints.Unfit: it consists only of white space.
    """
    if not (words := reason.strip()):
        raise constraints.Unfit("reason", "must be more than white space")
    return words


def require_chargeable(field: str, amount: int) -> None:
    """Refuse an amount of money that the payment provider would not move.

    Raises:
        constraints.Unfit: it is not a multiple of the smallest unit that the provider moves.
    """
    step = settings.load().amount_step
    if amount % step:
        raise constraints.Unfit(field, f"must be a multiple of {step}, as the provider asks for")
