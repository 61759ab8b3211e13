from enum import StrEnum


class RefundReason(StrEnum):
    DAMAGED = "damaged"
    MELTED = "melted"
    MISSING = "missing"
    OTHER = "other"
    WRONG_ITEM = "wrong-item"

    def __str__(self) -> str:
        return str(self.value)
