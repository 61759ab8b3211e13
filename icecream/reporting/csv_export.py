"""Figures as CSV (RFC 4180), in UTF-8 and with a header row."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import asdict

from icecream import money
from icecream.reporting.reports import Report
from icecream.reporting.sales import FlavorSales

# A spreadsheet reads a text with such a first character as a formula.
RISKY = ("=", "+", "-", "@", "\t", "\r")
MONEY = ("revenue", "refunds")
FIGURES = ("flavor", "name", "quantity", "orders", "revenue", "refunds", "failure_rate")


def sheet(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return the text of a CSV file."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return file.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(RISKY) else value


def sales(rows: Iterable[FlavorSales]) -> str:
    """Return the ordered quantity of each flavor."""
    names = ("flavor__name", "total_qty_ordered")
    return sheet(names, ((row.flavor_name, row.total_qty_ordered) for row in rows))


def of(report: Report) -> str:
    """Return a row for each flavor, or with an interval for each period and flavor.

    Amounts are given twice: in the currency's own unit, such as `revenue_eur`, and in minor units.
    """
    if report.interval is None:
        names = (*FIGURES, "stock", "stock_days")
        return sheet(_names(names, report), (_row(names, one, report) for one in report.flavors))
    rows = (
        (period.start, *_row(FIGURES, flavor, report))
        for period in report.periods
        for flavor in period.flavors
    )
    return sheet(("start", *_names(FIGURES, report)), rows)


def _names(names: Sequence[str], report: Report) -> list[str]:
    named: list[str] = []
    for name in names:
        both = (f"{name}_{report.currency.lower()}", f"{name}_minor")
        named += both if name in MONEY else (name,)
    return named


def _row(names: Sequence[str], flavor: Any, report: Report) -> list[Any]:
    values, row = asdict(flavor), []
    for name in names:
        if name in MONEY:
            row.append(money.to_major_units(values[name], report.currency))
        row.append(values[name])
    return row
