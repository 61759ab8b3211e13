from enum import StrEnum


class Decision(StrEnum):
    BOOK = "book"
    REFUND = "refund"
    RELEASE = "release"
    RETRY = "retry"

    def __str__(self) -> str:
        return str(self.value)
