from enum import StrEnum


class Unit(StrEnum):
    CASE = "case"
    LITRE = "litre"
    PIECE = "piece"
    TUB = "tub"

    def __str__(self) -> str:
        return str(self.value)
