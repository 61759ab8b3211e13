from enum import StrEnum


class PaymentState(StrEnum):
    DECLINED = "declined"
    NEW = "new"
    PARKED = "parked"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    UNKNOWN = "unknown"
    VOID = "void"

    def __str__(self) -> str:
        return str(self.value)
