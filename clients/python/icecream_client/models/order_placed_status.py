from enum import StrEnum


class OrderPlacedStatus(StrEnum):
    ORDER_PLACED = "Order placed"

    def __str__(self) -> str:
        return str(self.value)
