"""`icecream import` and `icecream export`: many rows, as CSV or as JSON lines."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, Literal

import click
import msgspec

from icecream.cli import output
from icecream.cli.commands import main, with_database

# The modules of the kinds open the database at import.
KINDS = ("flavors", "prices", "customers", "stock", "orders")
JSON_LINES_SUFFIXES = (".jsonl", ".ndjson")
# A longer list is for programs: `--json` has all of them.
MAX_LISTED = 20
kind_argument = click.argument("kind", type=click.Choice(KINDS))


@main.command("import")
@kind_argument
@click.argument("file", type=click.File("rb"))
@click.option("--dry-run", is_flag=True, help="Show the results, and change nothing.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print a line in JSON for each row, then the summary."
)
@with_database
async def import_file(kind: str, file: BinaryIO, dry_run: bool, as_json: bool) -> None:
    """Import a file with many rows.

    FILE is CSV with a header, or JSON lines if its name ends with .jsonl or .ndjson; - is CSV from
    the standard input. The exit code is 1 if a row was refused; the other rows are imported. Import
    the same file again after any failure: what was imported before is unchanged. Orders are charged
    when they are placed.
    """
    from icecream.bulk import running

    suffix = Path(file.name).suffix.lower()
    work = running.Import(
        rewindable(file),
        running.KINDS[kind],
        "jsonl" if suffix in JSON_LINES_SUFFIXES else "csv",
        dry_run=dry_run,
    )
    refused: list[running.RowResult] = []
    with click.progressbar(
        length=await work.check(), label=f"Importing {kind}", file=sys.stderr
    ) as bar:
        async for results in work.run():
            bar.update(len(results))
            if as_json:
                _print_lines(results)
            else:
                found = [one for one in results if one.result == running.REFUSED]
                refused += found[: MAX_LISTED - len(refused)]
    if as_json:
        _print_lines([{"summary": work.summary}])
    else:
        _print_summary(work.summary, refused)
    if work.summary.refused:
        sys.exit(1)


def rewindable(file: BinaryIO) -> BinaryIO:
    """Return a file that can be read twice, also if this one is a pipe."""
    if file.seekable():
        return file
    copy: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115  # It is open until the end.
    shutil.copyfileobj(file, copy)
    return copy


def _print_lines(values: list[Any]) -> None:
    for value in values:
        click.echo(msgspec.json.encode(value))


def _print_summary(summary: Any, refused: list[Any]) -> None:
    for one in refused:
        click.echo(f"row {one.row}: {output.as_text(one.detail)} ({one.pointer or one.code})")
    if summary.refused > len(refused):
        click.echo(f"and {summary.refused - len(refused)} more refused rows (--json has all)")
    counts = msgspec.to_builtins(summary)
    words = ", ".join(
        f"{counts[name]} {name}" for name in counts if name not in ("rows", "dry_run")
    )
    click.echo(f"{summary.rows} rows: {words}.")
    if summary.dry_run:
        click.echo("This was a dry run: nothing was changed.")


@main.command("export")
@kind_argument
@click.option(
    "--format", "file_format", type=click.Choice(("csv", "jsonl")), default="csv", show_default=True
)
@with_database
async def export(kind: str, file_format: Literal["csv", "jsonl"]) -> None:
    """Print all rows as a file that `icecream import` reads.

    Passwords and payment methods are not exported.
    """
    from icecream.bulk import running, writing

    async for text in writing.write_rows(running.KINDS[kind], file_format):
        click.echo(text.encode(), nl=False)
