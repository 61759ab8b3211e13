"""`python -m benchmarks [--quick] [ROW ...]`: measure, print the table, write the page."""

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import httpx
import redis

from benchmarks import databases, machine, report, table
from benchmarks.rows import DEFAULT, LONG, ROWS
from benchmarks.run import Run
from benchmarks.services import ROOT

PROGRAMS = {"wrk": "wrk", "pgbench": "postgresql-contrib", "psql": "postgresql-client"}


@click.command(epilog="Rows: " + " ".join(ROWS))
@click.argument("names", metavar="[ROW]...", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--long", "is_long", is_flag=True, help="Measure the rows that take long.")
@click.option(
    "--quick", is_flag=True, help="Measure once and briefly, to check that it works; write no page."
)
@click.option("--rounds", default=3, help="The number of times that each figure is measured.")
@click.option("--seconds", default=5.0, help="The length of each measurement.")
@click.option("--long-seconds", default=600.0, help="The length of `held` and `young`.")
@click.option("--hour-seconds", default=3600.0, help="The length of `hour`.")
@click.option("--orders", default=10_000_000, help="The number of orders in `large` and `growth`.")
@click.option("--jobs", default=5_000_000, help="The number of due jobs in `queued`.")
@click.option(
    "--folder",
    default=ROOT / "docs",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Where to write the page.",
)
def main(
    names: Sequence[str],
    is_long: bool,
    quick: bool,
    rounds: int,
    seconds: float,
    long_seconds: float,
    hour_seconds: float,
    orders: int,
    jobs: int,
    folder: Path,
) -> None:
    """Measure our service and its peers in turns, print the table and write the page."""
    if quick:
        rounds, seconds, long_seconds, hour_seconds = 1, 2.0, 30.0, 60.0
        orders, jobs = 100_000, 100_000
    # So a stopped run drops its databases and ends its processes, like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _check_programs()
    names = names or [row.__name__ for row in (LONG if is_long else DEFAULT)]
    run = Run(rounds, seconds, long_seconds, hour_seconds, orders, jobs)
    description = f"{machine.describe()}\n{rounds} rounds of {seconds:g} s"
    began, lines, failed = time.monotonic(), list[tuple[str, table.TableLine]](), list[str]()
    section = ""
    for n, name in enumerate(names, start=1):
        minutes = (time.monotonic() - began) / 60
        progress = Progress(f"[{n}/{len(names)}, {minutes:.0f} min] {name}: ")
        progress("starting")
        try:
            lines += [(name, line) for line in ROWS[name](replace(run, report=progress))]
        except (RuntimeError, OSError, httpx.HTTPError) as error:
            failed.append(f"{name} could not be measured: {error}")
            progress(f"failed\n{error}\n")
            continue
        section = report.describe_run(description, lines, run.notes)
        if not quick:
            # After each row, so that an interrupted run keeps its results.
            report.write(folder, section, {name for name, _ in lines}, run.panels)
    Progress("")("")
    click.echo(section)
    if failed:
        raise click.ClickException("\n".join(failed))


class Progress:
    """A progress line: rewritten in place on a terminal, else one line per step."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __call__(self, step: str) -> None:
        text = self._prefix + step
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{text}")
        elif text:
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def _check_programs() -> None:
    if missing := [package for name, package in PROGRAMS.items() if not shutil.which(name)]:
        raise click.ClickException(f"First install (Debian): apt install {' '.join(missing)}")
    try:
        databases.psql(databases.POSTGRES, "SELECT 1")
        redis.Redis.from_url(databases.REDIS).ping()
    except (RuntimeError, redis.RedisError) as error:
        raise click.ClickException(
            f"{error}\nSet BENCH_POSTGRES and BENCH_REDIS to their addresses; now they are "
            f"{databases.POSTGRES} and {databases.REDIS}."
        ) from None


if __name__ == "__main__":
    main()
