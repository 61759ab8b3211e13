"""Figures as CSV (RFC 4180), in UTF-8 and with a row of names."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import asdict

from icecream.stats.figures import FlavorSales
from icecream.stats.reports import Report

# A spreadsheet takes a text that begins so for a formula.
RISKY = ("=", "+", "-", "@", "\t", "\r")
FIGURES = ("flavor", "name", "quantity", "orders", "revenue", "refunds", "failure_rate")


def sheet(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """The text of a file."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(names)
    writer.writerows([_harmless(value) for value in row] for row in rows)
    return file.getvalue()


def _harmless(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(RISKY) else value


def sales(rows: Iterable[FlavorSales]) -> str:
    """How much of each flavor was ordered."""
    names = ("flavor__name", "total_qty_ordered")
    return sheet(names, ((row.flavor_name, row.total_qty_ordered) for row in rows))


def of(report: Report) -> str:
    """A row for each flavor, or with an interval for each period and flavor."""
    if report.interval is None:
        names = (*FIGURES, "stock", "stock_days")
        return sheet(names, (_row(names, flavor) for flavor in report.flavors))
    rows = (
        (period.start, *_row(FIGURES, flavor))
        for period in report.periods
        for flavor in period.flavors
    )
    return sheet(("start", *FIGURES), rows)


def _row(names: Sequence[str], flavor: Any) -> list[Any]:
    values = asdict(flavor)
    return [values[name] for name in names]
