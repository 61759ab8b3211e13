"""Amounts in Piccolo's models and tables: as people write them, not in minor units."""

from typing import Any

from piccolo.columns import Column
from piccolo.table import Table
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from icecream import constraints, errors, fields, money, settings
from icecream.pages import amounts

COLUMN_NAMES = frozenset({"price", "unit_price", "total", "amount", "moved", "revenue", "refunded"})


def _show_number(minor: int) -> str:
    return money.format_number(minor, settings.load().currency, settings.load().locale)


def _parse_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return amounts.parse("amount", value)
    except constraints.InvalidValue as error:
        # The message that Piccolo's page shows after the name of the field.
        raise PydanticCustomError("amount", "{words}", {"words": error.predicate}) from None


class Amount(int):
    """The type of amounts in Piccolo's models: text in JSON, and minor units as in the tables.

    Piccolo's page has a plain field for the type "number", and sends its text.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> CoreSchema:
        shown = core_schema.plain_serializer_function_ser_schema(_show_number, when_used="json")
        whole = core_schema.int_schema()
        return core_schema.no_info_before_validator_function(
            _parse_text, whole, serialization=shown
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, *_: Any) -> dict[str, Any]:
        return {"type": "number"}


def show_columns(table: type[Table]) -> None:
    """Let Piccolo's page show the amounts of a table as people write them."""
    currency = settings.load().currency
    for column in table._meta.columns:
        if column._meta.name in COLUMN_NAMES and column.value_type is int:
            # Only Piccolo's models of requests and responses use the type.
            column.value_type = Amount
            text = (column._meta.help_text or "").removeprefix("In minor units, such as cents.")
            column._meta.help_text = f"{text} In {currency}.".strip()


def parse_value(column: Column, value: Any) -> int | None:
    """Return the value of a column in minor units; a value other than text is refused.

    A number could be meant in minor units.

    Raises:
        errors.ValidationFailed: it is no amount, or too large.
    """
    name, high = column._meta.name, getattr(column, "high", None)
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else ""
        return amounts.parse(name, text, high=high if isinstance(high, int) else fields.MAX_ID)
    except constraints.InvalidValue as error:
        raise errors.ValidationFailed(f"/{name}", "invalid", f"{error}.") from None
