"""The codes for why a payment was declined; they are the same for all providers."""

from typing import Annotated

from msgspec import Struct

from icecream import fields

DECLINED = "declined"
# The message for each code. The provider's own text is stored separately, for staff.
MESSAGES = {
    DECLINED: "The payment was declined.",
    "card-declined": "The bank declined the card. Ask the bank, or use another payment method.",
    "card-expired": "The card has expired. Use another payment method.",
    "insufficient-funds": "There is not enough money on the account.",
    "authentication-required": (
        "The bank requires a confirmation by the account holder, which is not possible here. "
        "Use another payment method."
    ),
    "payment-method-missing": "There is no payment method. Set one, and pay again.",
    "payment-method-invalid": "The payment method is no longer valid. Use another one.",
    "amount-not-possible": "The payment provider does not accept this amount.",
    "already-refunded": "The payment provider has already refunded this charge.",
    "disputed": "The charge is disputed at the bank, so it cannot be refunded.",
    "released": "Staff confirmed that no money was moved.",
}


def message_of(code: str) -> str:
    """Return the message of a code; an unknown code of a later version is a plain decline."""
    return MESSAGES.get(code, MESSAGES[DECLINED])


class Failure(Struct):
    """The reason of a decline: `code` never changes its meaning, `message` is for users."""

    code: Annotated[str, fields.words("FailureCode", MESSAGES)]
    message: fields.Text


def failure_of(code: str | None) -> Failure:
    """Return the failure of a declined payment; the default code is DECLINED."""
    code = code or DECLINED
    return Failure(code, message_of(code))
