from enum import StrEnum


class TimeZoneChoice(StrEnum):
    INSTALLATION = "installation"
    UTC = "UTC"

    def __str__(self) -> str:
        return str(self.value)
