"""The columns of a CSV file, and the values of its cells: as they are written, and read back."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from functools import cache
from typing import Any, get_args

from msgspec.structs import fields

from icecream import errors, money, settings
from icecream.bulk.kinds import MONEY, Kind, Record
from icecream.reporting import csv_export

# What a cell says where a list is empty: an empty cell has no list.
_EMPTY_LIST = "none"
# As spreadsheets write a day where the decimal separator is a comma.
_DAY_WITH_POINTS = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")


def column_names(kind: Kind) -> list[str]:
    """Return the names of all columns of a kind."""
    return [column for field in _fields(kind) for column in _money_columns(field)]


def missing_columns(kind: Kind, names: Sequence[str]) -> list[str]:
    """Return the required columns that a file does not have."""
    return [
        columns[0]
        for field in kind.required
        if not set(columns := _money_columns(field)).intersection(names)
    ]


def _fields(kind: Kind) -> tuple[str, ...]:
    return kind.columns + kind.line_columns


def _money_columns(field: str) -> tuple[str, ...]:
    if field not in MONEY:
        return (field,)
    return f"{field}_{settings.load().currency.lower()}", f"{field}_minor"


def to_cells(kind: Kind, record: Record) -> Iterable[list[object]]:
    """Yield the lines of a record, each with the cells of all columns."""
    for line in record["lines"] if kind.line_columns else [{}]:
        values = record | line
        yield [cell for field in _fields(kind) for cell in _to_cells(field, values.get(field))]


def _to_cells(field: str, value: Any) -> Sequence[object]:
    if field in MONEY and value is not None:
        return money.to_major_units(value, settings.load().currency), value
    if value is None:
        return [""] * len(_money_columns(field))
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, list):
        return (" ".join(value) or _EMPTY_LIST,)
    if isinstance(value, datetime):
        return (f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",)
    return (value.isoformat() if isinstance(value, date) else value,)


def read_text(cells: dict[str, str], name: str) -> str:
    """Return the text of a cell; empty if there is none."""
    return csv_export.unescape_formula(cells.get(name, ""))


def to_values(kind: Kind, cells: dict[str, str]) -> Record:
    """Return the values of a line's cells, by their fields; those of a line are in `lines`.

    Raises:
        errors.ValidationFailed: an amount is not valid; the error points at the column.
    """
    values = _read_fields(kind.row, kind.columns, cells)
    if kind.line_columns:
        values["lines"] = [_read_fields(_line_type(kind.row), kind.line_columns, cells)]
    return values


def _read_fields(struct: Any, names: Iterable[str], cells: dict[str, str]) -> Record:
    nullable, values = _nullable_fields(struct), Record()
    for field in names:
        if field in MONEY:
            if (amount := _read_amount(field, cells)) is not None:
                values[field] = amount
        elif text := read_text(cells, field):
            values[field] = _read_cell(field, text)
        elif field in cells and field in nullable:
            values[field] = None
    return values


def _read_cell(field: str, text: str) -> Any:
    if field == "allergens":
        return [] if text == _EMPTY_LIST else text.split()
    if found := _DAY_WITH_POINTS.fullmatch(text):
        return f"{found[3]}-{found[2]:>02}-{found[1]:>02}"
    return text


def _read_amount(field: str, cells: dict[str, str]) -> Any:
    """Return an amount in minor units: a number, or a text that must be one."""
    currency = settings.load().currency
    major, minor = _money_columns(field)
    text, exact = cells.get(major, "").strip(), cells.get(minor, "").strip()
    if not text:
        return exact or None
    try:
        amount = money.parse_amount(_with_point(text, currency), currency)
    except ValueError as error:
        raise errors.ValidationFailed(f"/{major}", "invalid", f"{major} must be {error}.") from None
    if exact and exact != str(amount):
        detail = f"{major} and {minor} must be the same amount."
        raise errors.ValidationFailed(f"/{minor}", "invalid", detail)
    return amount


def _with_point(text: str, currency: str) -> str:
    """Replace a decimal comma, where it cannot separate groups of three digits."""
    places = min(money.decimal_places(currency) or 0, 2)
    number = re.fullmatch(r"([0-9]+),([0-9]{1,2})", text)
    return f"{number[1]}.{number[2]}" if number and len(number[2]) <= places else text


@cache
def _nullable_fields(struct: Any) -> frozenset[str]:
    return frozenset(one.name for one in fields(struct) if type(None) in get_args(one.type))


@cache
def _line_type(struct: Any) -> Any:
    """Return the type of the items of `lines`."""
    (lines,) = (one.type for one in fields(struct) if one.name == "lines")
    return get_args(get_args(lines)[0])[0]
