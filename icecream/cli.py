"""The `icecream` command."""

import asyncio
import json
import logging.config
import os
import secrets
import signal
import socket
import sqlite3
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import wraps
from typing import Any

import asyncpg
import click
import uvicorn
from uvicorn.supervisors import Multiprocess

from icecream import __version__, settings

# The rest of the house opens the database when it is imported, which needs good settings: commands
# import it once these were read, and `--help` needs neither.

# Seconds that open requests may take when the server is told to stop; its payments have six more.
GRACE = 2
# Seconds from the signal to a worker's end, whatever still hangs, such as a frozen database.
LIMIT = 9
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request": {"()": "icecream.edge.RequestIds"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s [%(request_id)s] %(name)s: %(message)s"}
    },
    "handlers": {
        "console": {
            "class": "logging.StreamHandler",
            "filters": ["request"],
            "formatter": "line",
        }
    },
    "root": {"level": "INFO", "handlers": ["console"]},
    "loggers": {
        "taskiq": {"level": "WARNING"},
        "uvicorn": {"level": "WARNING"},
        # While the database is away it writes a traceback a second; whoever needs it says so too.
        "asyncpg.pool": {"level": "ERROR"},
    },
}


@contextmanager
def _one_line() -> Iterator[None]:
    """Whatever an operator can mend is told in one line, without a traceback."""
    try:
        settings.load()
        from icecream import database, errors, installation
    except settings.BadSetting as error:
        sys.exit(f"icecream: {error}")
    except (OSError, UnicodeError) as error:
        sys.exit(f"icecream: cannot read .env: {error}")
    try:
        yield
    except (
        settings.BadSetting,
        installation.NotReady,
        database.InUse,
        errors.Refusal,
        ValueError,
    ) as error:
        sys.exit(f"icecream: {error}")
    except (*database.AWAY, sqlite3.DatabaseError, asyncpg.PostgresError) as error:
        # Not only away: the file is something else, there is no such database, no such role.
        current = settings.load()
        where = current.database_path if current.embedded else "ICECREAM_DATABASE_URL"
        what = " ".join((str(error) or repr(error)).split())
        sys.exit(f"icecream: cannot use the database ({where}): {what}")


def _with_database(work: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Turn a coroutine into a command that finds the database open and up to date."""

    async def run(*args: Any, **kwargs: Any) -> None:
        from icecream import database, installation

        async with database.running():
            await installation.prepare(click.echo)
            await work(*args, **kwargs)

    @wraps(work)
    def command(*args: Any, **kwargs: Any) -> None:
        with _one_line():
            asyncio.run(run(*args, **kwargs))

    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="icecream")
def main() -> None:
    """The ice-cream distributor's order service."""


@main.command()
@click.option("--host", help="The address to listen on (ICECREAM_HOST).")
@click.option("--port", type=int, help="The port to listen on (ICECREAM_PORT).")
@click.option("--workers", type=click.IntRange(1), default=1, help="How many processes.")
def serve(host: str | None, port: int | None, workers: int) -> None:
    """Serve the API, the admin and the docs; with SQLite, payments too."""
    # Through the environment, so that further processes see the same.
    for name, value in (("ICECREAM_HOST", host), ("ICECREAM_PORT", port)):
        if value is not None:
            os.environ[name] = str(value)
    with _one_line():
        current = settings.load()
        if current.embedded and workers > 1:
            raise ValueError("SQLite is served by one process: leave out --workers.")
        from icecream import database

        with database.DB.serving() if isinstance(database.DB, database.SQLite) else nullcontext():
            listener = _listen(current)
            asyncio.run(_prepare())
            click.echo(
                f"Ice cream at {current.address}/\n"
                f"  API docs  {current.address}/schema\n"
                f"  Admin     {current.address}/admin/",
            )
            _run_server(current, workers, listener)


async def _prepare() -> None:
    from icecream import database, installation

    async with database.running():
        await installation.prepare(click.echo)


def _listen(current: settings.Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in current.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((current.host, current.port))
    except OSError as error:
        raise ValueError(
            f"cannot listen on {current.host}:{current.port} ({error.strerror}): "
            "set ICECREAM_PORT to a free port, ICECREAM_HOST to an address of this machine."
        ) from None
    listener.set_inheritable(True)
    return listener


def _run_server(current: settings.Settings, workers: int, listener: socket.socket) -> None:
    config = uvicorn.Config(
        "icecream.app:create",
        factory=True,
        workers=workers,
        log_config=LOGGING,
        access_log=False,
        server_header=False,
        proxy_headers=bool(current.trusted_proxies),
        forwarded_allow_ips=list(current.trusted_proxies),
        timeout_graceful_shutdown=GRACE,
    )
    # uvicorn ends by raising once more the signal that stopped it; that is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        if workers > 1:
            Multiprocess(config, sockets=[listener]).run()
        else:
            server = uvicorn.Server(config)
            server.run(sockets=[listener])
            if not server.started:
                sys.exit(3)


@main.command()
@click.option("--processes", type=click.IntRange(1), default=1, help="How many processes.")
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), default=50, help="Payments in flight in each."
)
@click.option("--kept", is_flag=True, hidden=True, help="End with whoever holds the other end.")
def worker(processes: int, concurrency: int, kept: bool) -> None:
    """Charge payments; beside `serve` on PostgreSQL, as many as you like."""
    with _one_line():
        if settings.load().embedded:
            raise ValueError("with SQLite, `icecream serve` charges payments itself.")
        asyncio.run(_prepare())
        asyncio.run(
            _supervise(processes, concurrency) if processes > 1 else _work(concurrency, kept)
        )


def _stop_signal() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


def _stop_at_end_of_input(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def ended() -> None:
        loop.remove_reader(sys.stdin)
        stop.set()

    loop.add_reader(sys.stdin, ended)


async def _work(concurrency: int, kept: bool) -> None:
    from icecream import database
    from tasks import broker
    from tasks.worker import working

    logging.config.dictConfig(LOGGING)
    stop = _stop_signal()
    if kept:
        _stop_at_end_of_input(stop)
    async with database.running(), broker.running(), working(concurrency):
        click.echo(f"Charging payments, {concurrency} at a time.")
        await stop.wait()
        # Nothing is lost by this: each intent is committed, and each lease runs out.
        asyncio.get_running_loop().call_later(LIMIT, os._exit, 0)


async def _supervise(processes: int, concurrency: int) -> None:
    """Keep so many workers running, each a process of its own, until told to stop."""
    stop = _stop_signal()
    keepers = [asyncio.create_task(_keep(stop, concurrency)) for _ in range(processes)]
    # All of them, also when one gives up: none is left to work unsupervised.
    await asyncio.wait(keepers)
    await asyncio.gather(*keepers)


async def _keep(stop: asyncio.Event, concurrency: int) -> None:
    options = ["--concurrency", str(concurrency), "--kept"]
    command = [sys.executable, "-m", "icecream", "worker", *options]
    told = asyncio.ensure_future(stop.wait())
    while not stop.is_set():
        # The pipe ends when this process does, even killed, and the worker with the pipe.
        process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE)
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait({ended, told}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            process.terminate()
        if await ended > 0 and not stop.is_set():
            # Not killed, but unable to go on: the next one would be no better.
            stop.set()
            raise ValueError(f"a worker ended with code {process.returncode}.")
        await asyncio.wait({told}, timeout=1)


@main.command()
def migrate() -> None:
    """Bring the database up to date; an empty one also gets its first admin and flavor."""

    async def run() -> None:
        from icecream import database, installation

        async with database.running():
            await installation.migrate(click.echo)

    with _one_line():
        asyncio.run(run())
    click.echo("The database is up to date.")


@main.group()
def user() -> None:
    """Accounts: shops, staff and admins."""


def _chosen(password: str | None) -> tuple[str, bool]:
    """The password, and whether it has to be told: given, asked for, or made up."""
    if password is not None:
        return password, False
    if sys.stdin.isatty():
        return click.prompt("Password", hide_input=True, confirmation_prompt=True), False
    return secrets.token_urlsafe(12), True


@user.command()
@click.argument("name")
@click.option("--password", help="Without it you are asked, or it is made up and shown once.")
@click.option("--email")
@click.option("--staff", is_flag=True, help="May use the admin and change the catalogue.")
@click.option("--admin", is_flag=True, help="Staff who may also manage accounts.")
@_with_database
async def create(
    name: str, password: str | None, email: str | None, staff: bool, admin: bool
) -> None:
    """Make an account."""
    from icecream import accounts

    secret, made_up = _chosen(password)
    await accounts.create(name, secret, email=email, staff=staff, admin=admin)
    click.echo(f"Made {name!r}" + (f", password {secret} (shown only this once)." * made_up or "."))


@user.command("list")
@_with_database
async def list_users() -> None:
    """Show all accounts."""
    from icecream.tables import User

    for row in await User.objects().order_by(User.id):
        role = "admin" if row.superuser and row.admin else "staff" if row.admin else "customer"
        state = "" if row.active else "  disabled"
        click.echo(f"{row.id:>6}  {row.username:<30}  {role:<8}  {row.email or ''}{state}")


@user.command()
@click.argument("name")
@click.option("--password", help="Without it you are asked, or it is made up and shown once.")
@_with_database
async def password(name: str, password: str | None) -> None:
    """Set a new password; ends every session and token given for the old one."""
    from icecream import accounts

    found = await accounts.named(name)
    secret, made_up = _chosen(password)
    await accounts.set_password(found, secret)
    click.echo(
        f"Changed the password of {name!r}"
        + (f" to {secret} (shown only this once)." * made_up or ".")
    )


@user.command()
@click.argument("name")
@_with_database
async def disable(name: str) -> None:
    """Shut an account, and sign it out everywhere."""
    from icecream import accounts

    await accounts.disable(await accounts.named(name))
    click.echo(f"Disabled {name!r}.")


@main.command()
@_with_database
async def doctor() -> None:
    """Check that orders, payments, jobs, stock, history and totals agree; fails if they do not."""
    from icecream import doctor

    broken = await doctor.examine()
    for rule, rows in broken.items():
        some = ", ".join(str(row[0]) for row in rows[:10])
        click.echo(f"BROKEN  {rule}: {len(rows)} ({some}{', ...' * (len(rows) > 10)})")
    click.echo(f"{len(doctor.RULES) - len(broken)} of {len(doctor.RULES)} rules hold.")
    if broken:
        sys.exit(1)


@main.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    with _one_line():
        from icecream import app

        click.echo(json.dumps(app.litestar().openapi_schema.to_schema(), indent=2))
