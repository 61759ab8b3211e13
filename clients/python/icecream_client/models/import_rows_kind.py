from enum import StrEnum


class ImportRowsKind(StrEnum):
    CUSTOMERS = "customers"
    FLAVORS = "flavors"
    ORDERS = "orders"
    PRICES = "prices"
    STOCK = "stock"

    def __str__(self) -> str:
        return str(self.value)
