from enum import StrEnum


class KeyScope(StrEnum):
    ORDER = "order"
    READ = "read"
    STAFF = "staff"

    def __str__(self) -> str:
        return str(self.value)
