"""What commands print: a table for people, or JSON for programs."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from icecream import money

Row = Mapping[str, Any]
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Print a value as JSON, indented."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)))


def print_rows(
    rows: Sequence[Row], columns: Sequence[str], *, as_json: bool, amounts: Collection[str] = ()
) -> None:
    """Print rows that have these columns, as a table with a header or as a JSON array.

    Args:
        amounts: columns in minor units of the row's `currency`. A table shows them as people write
            them, and has no column for the currency.
    """
    if as_json:
        print_json([{name: row[name] for name in columns} for row in rows])
        return
    shown = [name for name in columns if not amounts or name != "currency"]
    texts = [[_cell_text(row, name, amounts) for name in shown] for row in rows]
    widths = [
        max(len(text) for text in column)
        for column in zip([name.upper() for name in shown], *texts, strict=True)
    ]
    # Numbers are aligned by their last digits.
    numeric = [_has_only_numbers([row[name] for row in rows]) for name in shown]
    for line in [[name.upper() for name in shown], *texts]:
        print_line(line, widths, numeric)


def print_line(texts: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> None:
    """Print a line of a table, with numbers at the right of their columns."""
    cells = zip(texts, widths, numeric, strict=True)
    aligned = [text.rjust(width) if right else text.ljust(width) for text, width, right in cells]
    click.echo("  ".join(aligned).rstrip())


def print_facts(facts: Row, *, as_json: bool) -> None:
    """Print named values, as lines or as a JSON object."""
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        click.echo(f"{name:<{width}}  {as_text(value)}".rstrip())


def _has_only_numbers(values: Sequence[Any]) -> bool:
    return {type(value) for value in values if value is not None} in ({int}, {float})


def _cell_text(row: Row, name: str, amounts: Collection[str]) -> str:
    if name in amounts and row[name] is not None:
        return money.format_amount(row[name], row["currency"])
    return as_text(row[name])


def as_text(value: Any) -> str:
    """Return a value as people read it, on one line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "-"
    # A name may contain characters that a terminal would carry out.
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(value))
