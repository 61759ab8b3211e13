from enum import StrEnum


class Action(StrEnum):
    CANCEL = "cancel"
    PAY = "pay"
    REFUND = "refund"

    def __str__(self) -> str:
        return str(self.value)
