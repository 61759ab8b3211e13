from enum import StrEnum


class PackingTable(StrEnum):
    FLAVORS = "flavors"
    ORDERS = "orders"

    def __str__(self) -> str:
        return str(self.value)
