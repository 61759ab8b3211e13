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
@click.option("--quick", is_flag=True, help="Once and briefly, to see that it works.")
@click.option("--rounds", default=3, help="How often each thing is measured.")
@click.option("--seconds", default=6.0, help="How long each time.")
@click.option("--orders", default=10_000_000, help="In the large database.")
@click.option("--held", default=600.0, help="Seconds that a snapshot is held.")
def main(
    rows: Sequence[str], quick: bool, rounds: int, seconds: float, orders: int, held: float
) -> None:
    """Measure ours and its peers in turns, in one run, and print the table."""
    if quick:
        rounds, seconds, orders, held = 1, 2.0, 100_000, 10.0
    _check()
    services.install_original()
    lines, failed = list[tuple[str, table.Line]](), list[str]()
    names = rows or list(ROWS)
    for n, name in enumerate(names, start=1):
        progress = Progress(f"[{n}/{len(names)}] {name}: ")
        progress("starting")
        try:
            for line in ROWS[name](Run(rounds, seconds, orders, held, progress)):
                lines.append((name, line))
        except (RuntimeError, httpx.HTTPError) as error:
            failed.append(f"{name} could not be measured: {error}")
    Progress("")("")
    click.echo(f"{table.render(lines)}\n\n{machine.describe()}")
    click.echo(f"{rounds} rounds of {seconds:g} s")
    if failed:
        raise click.ClickException("\n".join(failed))


class Progress:
    """A progress line, rewritten in place on a terminal; elsewhere each text gets its own line."""

    def __init__(self, before: str) -> None:
        self._before = before

    def __call__(self, what: str) -> None:
        text = self._before + what
        sys.stderr.write(f"\r\033[K{text}" if sys.stderr.isatty() else f"{text}\n" if text else "")
        sys.stderr.flush()


def _check() -> None:
    if missing := [package for name, package in PROGRAMS.items() if not shutil.which(name)]:
        raise click.ClickException(f"First install (Debian): apt install {' '.join(missing)}")
    try:
        services.psql(services.POSTGRES, "SELECT 1")
        redis.Redis.from_url(services.REDIS).ping()
    except (RuntimeError, redis.RedisError) as error:
        raise click.ClickException(
            f"{error}\nBENCH_POSTGRES and BENCH_REDIS say where they are; now "
            f"{services.POSTGRES} and {services.REDIS}."
        ) from None


if __name__ == "__main__":
    main()
