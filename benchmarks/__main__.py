"""`python -m benchmarks [--quick] [ROW ...]`: measure, and print the table."""

import shutil
import sys
from collections.abc import Sequence

import click
import httpx
import redis

from benchmarks import machine, services, table
from benchmarks.rows import ROWS, Run

PROGRAMS = {"wrk": "wrk", "pgbench": "postgresql-contrib", "psql": "postgresql-client"}


@click.command(epilog="Rows: " + " ".join(ROWS))
@click.argument("rows", nargs=-1, type=click.Choice(list(ROWS)))
@click.option("--quick", is_flag=True, help="Measure once and briefly, to check that it works.")
@click.option("--rounds", default=3, help="The number of times that each figure is measured.")
@click.option("--seconds", default=6.0, help="The length of each measurement.")
@click.option("--orders", default=10_000_000, help="The number of orders in the large database.")
@click.option("--held", "snapshot_seconds", default=600.0, help="How long the snapshot is held.")
def main(
    rows: Sequence[str],
    quick: bool,
    rounds: int,
    seconds: float,
    orders: int,
    snapshot_seconds: float,
) -> None:
    """Measure our service and its peers in turns, and print the table."""
    if quick:
        rounds, seconds, orders, snapshot_seconds = 1, 2.0, 100_000, 10.0
    _check_programs()
    services.install_original()
    lines, failed = list[tuple[str, table.TableLine]](), list[str]()
    names = rows or list(ROWS)
    for n, name in enumerate(names, start=1):
        progress = Progress(f"[{n}/{len(names)}] {name}: ")
        progress("starting")
        try:
            for line in ROWS[name](Run(rounds, seconds, orders, snapshot_seconds, progress)):
                lines.append((name, line))
        except (RuntimeError, httpx.HTTPError) as error:
            failed.append(f"{name} could not be measured: {error}")
    Progress("")("")
    click.echo(f"{table.render(lines)}\n\n{machine.describe()}")
    click.echo(f"{rounds} rounds of {seconds:g} s")
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
        services.psql(services.POSTGRES, "SELECT 1")
        redis.Redis.from_url(services.REDIS).ping()
    except (RuntimeError, redis.RedisError) as error:
        raise click.ClickException(
            f"{error}\nSet BENCH_POSTGRES and BENCH_REDIS to their addresses; now they are "
            f"{services.POSTGRES} and {services.REDIS}."
        ) from None


if __name__ == "__main__":
    main()
