from enum import StrEnum


class MoveTo(StrEnum):
    DELIVERED = "delivered"
    PACKED = "packed"
    RETURNED = "returned"
    UNFULFILLED = "unfulfilled"

    def __str__(self) -> str:
        return str(self.value)
