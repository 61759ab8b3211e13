from enum import StrEnum


class FailureCode(StrEnum):
    ALREADY_REFUNDED = "already-refunded"
    AMOUNT_NOT_POSSIBLE = "amount-not-possible"
    AUTHENTICATION_REQUIRED = "authentication-required"
    CARD_DECLINED = "card-declined"
    CARD_EXPIRED = "card-expired"
    DECLINED = "declined"
    DISPUTED = "disputed"
    INSUFFICIENT_FUNDS = "insufficient-funds"
    PAYMENT_METHOD_INVALID = "payment-method-invalid"
    PAYMENT_METHOD_MISSING = "payment-method-missing"
    RELEASED = "released"

    def __str__(self) -> str:
        return str(self.value)
