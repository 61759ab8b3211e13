"""Figures and rows as CSV (RFC 4180), in UTF-8 and with a header row."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

from msgspec.structs import asdict

from icecream import money
from icecream.reporting.reports import Report
from icecream.reporting.sales import FlavorFigures, FlavorSales

# A spreadsheet treats a text as a formula if it begins with one of these characters. In countries
# with a decimal comma, the next cell begins after a semicolon or a line break, even within our
# quotes; and there, quotes at its start are no part of it. An apostrophe before it makes it a text;
# a text that begins with such an apostrophe gets another one, so that each can be read back.
FORMULA_PREFIXES = "=+-@\t\r"
_CELL_START = r"(^|[;\r\n])"
_FORMULA = rf"""'*"*[{re.escape(FORMULA_PREFIXES)}]"""
_FORMULA_START = re.compile(rf"{_CELL_START}(?={_FORMULA})")
_ESCAPED_START = re.compile(rf"{_CELL_START}'(?={_FORMULA})")
MONEY_COLUMNS = ("revenue", "refunds")
FIGURE_COLUMNS = ("flavor", "name", "quantity", "orders", "revenue", "refunds", "failure_rate")


def to_csv(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as the text of a CSV file."""
    return rows_to_csv((names, *rows))


def rows_to_csv(rows: Iterable[Sequence[object]]) -> str:
    """Return the rows as a part of a CSV file."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows([_escape_formula(value) for value in row] for row in rows)
    return file.getvalue()


def _escape_formula(value: object) -> object:
    return _FORMULA_START.sub(r"\1'", value) if isinstance(value, str) else value


def unescape_formula(text: str) -> str:
    """Return a text as it was before it was written into a cell."""
    return _ESCAPED_START.sub(r"\1", text)


def sales_to_csv(rows: Iterable[FlavorSales]) -> str:
    """Return the ordered quantity of each flavor as CSV."""
    names = ("flavor__name", "total_qty_ordered")
    return to_csv(names, ((row.flavor_name, row.total_qty_ordered) for row in rows))


def report_to_csv(report: Report) -> str:
    """Return one row per flavor, or with an interval one row per period and flavor.

    Each amount has two columns: one in the main unit, such as `revenue_eur`, one in minor units.
    """
    if report.interval is None:
        names = (*FIGURE_COLUMNS, "stock", "stock_days")
        return to_csv(
            _column_names(names, report),
            (_row_values(names, flavor, report) for flavor in report.flavors),
        )
    rows = (
        (period.start, *_row_values(FIGURE_COLUMNS, flavor, report))
        for period in report.periods
        for flavor in period.flavors
    )
    return to_csv(("start", *_column_names(FIGURE_COLUMNS, report)), rows)


def _column_names(names: Sequence[str], report: Report) -> list[str]:
    columns: list[str] = []
    for name in names:
        if name in MONEY_COLUMNS:
            columns += (f"{name}_{report.currency.lower()}", f"{name}_minor")
        else:
            columns.append(name)
    return columns


def _row_values(names: Sequence[str], flavor: FlavorFigures, report: Report) -> list[object]:
    values, row = asdict(flavor), list[object]()
    for name in names:
        if name in MONEY_COLUMNS:
            row.append(money.to_major_units(values[name], report.currency))
        row.append(values[name])
    return row
