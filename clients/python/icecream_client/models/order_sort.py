from enum import StrEnum


class OrderSort(StrEnum):
    ID = "id"
    TOTAL = "total"
    VALUE_1 = "-id"
    VALUE_3 = "-total"

    def __str__(self) -> str:
        return str(self.value)
