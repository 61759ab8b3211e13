from enum import StrEnum


class Period(StrEnum):
    LAST_MONTH = "last-month"
    THIS_MONTH = "this-month"
    TODAY = "today"
    VALUE_2 = "7d"
    VALUE_3 = "30d"
    VALUE_4 = "90d"
    VALUE_5 = "365d"
    YESTERDAY = "yesterday"

    def __str__(self) -> str:
        return str(self.value)
