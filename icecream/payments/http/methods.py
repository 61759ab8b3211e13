"""Payment methods of users: the payment provider's reference, never a card number."""

import re
from typing import Annotated

from litestar import Controller, delete, get, put
from litestar.params import JSONBody
from msgspec import Meta, Struct

from icecream import change_history, constraints, database, errors, fields
from icecream.accounts import tokens
from icecream.http import bodies, openapi
from icecream.tables import PaymentMethodOwner, User

VISIBLE_PATTERN = r"^[!-~]{1,255}$"
# Documented, not checked here: `reference` refuses with its own error messages.
Reference = Annotated[
    str, Meta(extra_json_schema={"minLength": 1, "maxLength": 255, "pattern": VISIBLE_PATTERN})
]
# ISO/IEC 7812: 13 to 19 digits in use; the last digit makes the Luhn sum a multiple of ten.
_CARD_NUMBER = re.compile(r"(?<![0-9A-Za-z])[0-9](?:[ .-]?[0-9]){12,18}(?![0-9A-Za-z])")
# Stripe's methods for tests, which all customers may use; they move no money.
SHARED_TEST_METHOD = re.compile(r"pm_card_\w+", re.ASCII)
EXAMPLE = {"reference": "pm_1N3T00LkdIwHu7ixt44h1F8k"}
LOOKS_LIKE_CARD = "must be the provider's reference; this looks like a card number"


def validate_reference(text: str, field: str = "reference") -> str:
    """Return the text if it is a provider's reference; errors never repeat a refused text.

    Raises:
        constraints.InvalidValue: it is no reference, or looks like a card number.
    """
    if any(_has_luhn_checksum(found) for found in _CARD_NUMBER.findall(text)):
        raise constraints.InvalidValue(field, LOOKS_LIKE_CARD)
    if not re.fullmatch(VISIBLE_PATTERN, text):
        raise constraints.InvalidValue(field, "must be 1 to 255 visible ASCII characters")
    return text


def _has_luhn_checksum(number: str) -> bool:
    digits = [int(digit) for digit in number if digit.isdigit()][::-1]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + doubled) % 10 == 0


class NewMethod(fields.Body):
    """The payment method for new orders: the provider's reference, or null for none."""

    reference: Annotated[Reference | None, Meta(examples=[EXAMPLE["reference"]])]

    def __post_init__(self) -> None:
        if self.reference is not None:
            self.reference = validate_reference(self.reference)


class MethodView(Struct):
    """The payment method for new orders: the provider's reference, or null for none."""

    reference: Reference | None


async def set_payment_method(user: int, method: str | None, *, by: int) -> None:
    """Set a user's payment method; payments in progress keep the method that they began with.

    Raises:
        errors.PaymentMethodTaken: another customer set it first.
    """

    async def change() -> None:
        rows = await database.for_no_key_update(
            User.select(User.payment_method).where(User.id == user)
        )
        if rows and rows[0]["payment_method"] != method:
            await _bind(user, method)
            await User.update({User.payment_method: method}).where(User.id == user)
            new = {"payment_method": method}
            await change_history.record_changes("user", user, rows[0], new, by=by)

    await database.transaction(change)
    # After the commit, so that the next look-up of the user finds the new method.
    tokens.token_cache.forget(user)


async def _bind(user: int, method: str | None) -> None:
    """Bind a payment method, and the customer that it names at the provider, to this user."""
    if method is None or SHARED_TEST_METHOD.fullmatch(method):
        return
    # In one order, so that two requests do not wait for each other.
    parts = sorted(filter(None, method.split("/"))) or [method]
    owners = [PaymentMethodOwner(method=part, user=user) for part in parts]
    await PaymentMethodOwner.insert(*owners).on_conflict(PaymentMethodOwner.method, "DO NOTHING")
    is_one = PaymentMethodOwner.method.is_in(parts)
    if await PaymentMethodOwner.exists().where(is_one, PaymentMethodOwner.user != user):
        raise errors.PaymentMethodTaken()


class PaymentMethods(Controller):
    """The handlers of the payment method."""

    path = "/api/payment-method"
    tags = ["Payments"]

    @get(
        "/", **openapi.operation("getPaymentMethod", "Get your payment method", MethodView, EXAMPLE)
    )
    async def get_method(self, request: bodies.ApiRequest) -> MethodView:
        """Get your payment method, as the payment provider's reference; null means none."""
        # Another process may have changed it since this one looked the caller up.
        rows = await User.select(User.payment_method).where(User.id == request.user.id)
        return MethodView(rows[0]["payment_method"] or None)

    @put(
        "/",
        **openapi.operation(
            "setPaymentMethod",
            "Set your payment method",
            MethodView,
            EXAMPLE,
            *openapi.BODY_REFUSALS,
            errors.PaymentMethodTaken(),
            errors.ValidationFailed("/reference", "invalid", f"reference {LOOKS_LIKE_CARD}."),
        ),
    )
    async def set_method(self, request: bodies.ApiRequest, data: JSONBody[NewMethod]) -> MethodView:
        """Set the payment method for your next orders.

        It is the payment provider's reference for a card or an account. Your own page gets it from
        the provider. A card number is refused, and is never stored.
        """
        user = request.user.id
        await set_payment_method(user, data.reference, by=user)
        return MethodView(data.reference)

    @delete(
        "/",
        **openapi.operation(
            "removePaymentMethod", "Remove your payment method", None, None, status=204
        ),
    )
    async def remove_method(self, request: bodies.ApiRequest) -> None:
        """Remove the payment method. New orders are refused if the provider requires one."""
        user = request.user.id
        await set_payment_method(user, None, by=user)
