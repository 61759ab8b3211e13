"""Test the command line: each command, and the error message when it fails."""

import json
import logging.config
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import click
import msgspec
import pytest
from click.testing import CliRunner

from icecream import __version__, bootstrap, cli, database, settings
from icecream.cli import commands as short
from icecream.cli import startup, worker
from tests import servers
from tests.conftest import WHICH
from tests.processes import ROOT, Shop, until

embedded = pytest.mark.only("sqlite")
at_scale = pytest.mark.only("postgres")
# This code does not depend on the database.
once = pytest.mark.only("sqlite")
Answer = subprocess.CompletedProcess[str]


def done(answer: Answer) -> str:
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def refused(answer: Answer) -> str:
    """Return the one-line error message of a failed command."""
    assert answer.returncode == 1, answer.stdout
    (line,) = answer.stdout.splitlines()
    assert line.startswith("icecream: "), line
    return line.removeprefix("icecream: ")


@pytest.fixture
def shop(tmp_path: Path, empty_database: str) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", empty_database) as shop:
        yield shop


def commands(group: click.Group, *words: str) -> Iterator[list[str]]:
    yield [*words]
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield [*words, name]


@once
def test_help_needs_no_settings_and_creates_no_files(shop: Shop) -> None:
    everything = list(commands(cli.main))
    assert ["user", "create"] in everything
    asked = [[*words, "--help"] for words in everything]
    answers = shop.run_all(asked, ICECREAM_DATABASE_URL="nonsense")
    for words, answer in zip(everything, answers, strict=True):
        assert f"Usage: {' '.join(['python -m icecream', *words])} [OPTIONS]" in done(answer)
    assert not any(shop.folder.iterdir())


@once
@pytest.mark.parametrize("words", [[], ["user"], ["keys"], ["webhooks"], ["db"]])
def test_the_short_help_of_a_command_is_not_cut(words: list[str]) -> None:
    shown = CliRunner().invoke(cli.main, [*words, "--help"], terminal_width=80)
    assert "Commands:" in shown.output
    assert "..." not in shown.output.partition("Commands:")[2]


@once
def test_the_page_of_commands_names_every_command() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    for words in commands(cli.main):
        assert f"`{' '.join(['icecream', *words])}" in page, words


@once
def test_a_shell_completes_commands_and_choices() -> None:
    def complete(line: str) -> list[str]:
        environment = {
            "_ICECREAM_COMPLETE": "bash_complete",
            "COMP_WORDS": f"icecream {line}",
            "COMP_CWORD": str(len(line.split())),
        }
        found = CliRunner().invoke(cli.main, env=environment, prog_name="icecream")
        return [one.split(",")[1] for one in found.output.splitlines()]

    assert complete("ord") == ["orders"]
    assert complete("keys r") == ["revoke"]
    assert complete("payments --state par") == ["parked"]


@once
def test_the_version_is_printed(shop: Shop) -> None:
    assert done(shop.run("--version")) == f"icecream, version {__version__}\n"


@once
def test_openapi_prints_the_document_and_creates_no_database(shop: Shop) -> None:
    document = json.loads(done(shop.run("openapi", ICECREAM_DATABASE_URL="sqlite:///a/b.sqlite")))
    assert document["openapi"].startswith("3.1")
    assert document["paths"]["/api/orders"]["post"]["operationId"] == "placeOrder"
    assert not any(shop.folder.iterdir())


@once
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"ICECREAM_PORT": "http"}, "ICECREAM_PORT: set it to a whole number from 1 to 65535."),
        (
            {"ICECREAM_LEASE": "1"},
            "ICECREAM_LEASE: set it to a time longer than ICECREAM_PAYMENT_TIMEOUT",
        ),
        ({"ICECREAM_PROT": "1"}, "ICECREAM_PROT: there is no such setting (did you mean"),
    ],
)
def test_an_invalid_setting_stops_a_command_with_one_line(
    shop: Shop, setting: dict[str, str], said: str
) -> None:
    assert refused(shop.run("serve", **setting)).startswith(said)


@once
def test_an_unreadable_env_file_is_reported_in_one_line(shop: Shop) -> None:
    (shop.folder / ".env").write_bytes(b"ICECREAM_PORT=\xff\n")
    assert refused(shop.run("serve")).startswith("cannot read .env: ")


@once
def test_a_used_port_is_reported_in_one_line(shop: Shop) -> None:
    done(shop.run("migrate"))
    with socket.create_server(("127.0.0.1", shop.port)):
        said = refused(shop.run("serve"))
    assert said.startswith(f"cannot listen on 127.0.0.1:{shop.port} (Address already in use)")
    assert "ICECREAM_PORT" in said


@embedded
def test_commands_for_several_processes_are_refused_with_sqlite(shop: Shop) -> None:
    workers, worker = shop.run_all([["serve", "--workers", "2"], ["worker"]])
    assert refused(workers) == "SQLite allows only one process: remove --workers."
    assert refused(worker) == "with SQLite, `icecream serve` also carries out the payments."
    with_redis = shop.run("serve", ICECREAM_REDIS_URL="redis://127.0.0.1")
    assert refused(with_redis).startswith("ICECREAM_REDIS_URL: set it to nothing with SQLite")
    assert not any(shop.folder.iterdir())


@embedded
@pytest.mark.parametrize("path", ["a file/shop.sqlite", "a folder", "other.sqlite", "/proc/x/y"])
def test_an_unusable_database_is_reported_in_one_line(shop: Shop, path: str) -> None:
    (shop.folder / "a file").touch()
    (shop.folder / "a folder").mkdir()
    (shop.folder / "other.sqlite").write_bytes(b"no database at all" * 99)
    place, url = shop.folder / path, f"sqlite:///{path}"
    serve, listed = shop.run_all([["serve"], ["user", "list"]], ICECREAM_DATABASE_URL=url)
    assert refused(serve).startswith(f"cannot use the database ({place}): ")
    what = f"cannot use the database ({place}): " if place.exists() else "there is no database at "
    assert refused(listed).startswith(what)


@embedded
def test_only_serve_and_migrate_create_a_database(shop: Shop) -> None:
    wrong = {"ICECREAM_DATABASE_URL": "sqlite:///var/icecream.sqlite"}
    short = [["user", "list"], ["doctor"], ["reconcile"], ["demo"], ["user", "create", "eve"]]
    for answer in shop.run_all(short, **wrong):
        said = refused(answer)
        assert said.startswith(f"there is no database at {shop.folder}/var/icecream.sqlite: ")
    assert not any(shop.folder.iterdir())


@once
def test_a_short_command_does_not_migrate(shop: Shop) -> None:
    shop.folder.joinpath("empty.sqlite").touch()
    answer = shop.run("doctor", ICECREAM_DATABASE_URL="sqlite:///empty.sqlite")
    assert refused(answer) == "The database has pending migrations: run `icecream migrate` first."


def test_the_doctor_prints_the_checked_database(shop: Shop) -> None:
    done(shop.run("migrate"))
    first, *_ = done(shop.run("doctor")).splitlines()
    _, _, place = shop.environment["ICECREAM_DATABASE_URL"].rpartition("@")
    if WHICH == "sqlite":
        assert first == f"Checking {place.removeprefix('sqlite:///')}"
    else:
        assert first == f"Checking postgresql://{place}"


@at_scale
def test_the_supervisor_of_workers_writes_the_same_log(monkeypatch: pytest.MonkeyPatch) -> None:
    async def supervise(*_: object) -> list[int]:
        return [0]

    async def prepare(_: object) -> None:
        """Do nothing: the database is already prepared."""

    configured: list[object] = []
    monkeypatch.setattr(logging.config, "dictConfig", configured.append)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(bootstrap, "prepare_database", prepare)
    monkeypatch.setattr(database, "open_pool", nullcontext)
    monkeypatch.setattr(worker, "_run_workers", supervise)
    result = CliRunner().invoke(cli.main, ["worker", "--processes", "2"])
    assert result.exit_code == 0, result.output
    assert configured[-1] == short.log_configuration("INFO")


FAILING = """
import logging
from icecream.cli import commands

@commands.main.command()
def fail():
    with commands.errors_in_one_line():
        logging.getLogger("sdk").warning("sent with sk_test_secret")
        raise KeyError("postgresql://shop:secret@db/shop")

commands.main(["fail"])
"""


@once
def test_a_short_command_logs_like_the_service_and_hides_secrets(shop: Shop) -> None:
    settings = shop.environment | {"ICECREAM_LOG_FORMAT": "json"}
    answer = subprocess.run(
        [sys.executable, "-c", FAILING], env=settings, cwd=shop.folder, capture_output=True
    )
    assert (answer.returncode, answer.stdout) == (1, b"")
    warning, bug = map(json.loads, answer.stderr.splitlines())
    assert (warning["level"], warning["event"]) == ("warning", "sent with [hidden]")
    assert (bug["level"], bug["event"]) == (
        "critical",
        "The command failed: KeyError('postgresql://[hidden]@db/shop')",
    )
    assert "secret" not in bug["exception"]


EVERYTHING = [["serve"], ["worker"], ["user", "list"]]


@at_scale
def test_an_unreachable_postgresql_is_reported_in_one_line(shop: Shop) -> None:
    absent = f"postgresql://postgres@127.0.0.1:{servers.free_port()}/shop"
    for answer in shop.run_all([*EVERYTHING, ["migrate"]], ICECREAM_DATABASE_URL=absent):
        assert refused(answer).startswith("cannot use the database (ICECREAM_DATABASE_URL): ")


@at_scale
def test_a_missing_postgresql_database_is_reported_in_one_line(shop: Shop) -> None:
    url = shop.environment["ICECREAM_DATABASE_URL"].rpartition("/")[0] + "/nosuch"
    for answer in shop.run_all([["serve"], ["migrate"]], ICECREAM_DATABASE_URL=url):
        assert refused(answer).endswith(': database "nosuch" does not exist')


@at_scale
def test_an_unmigrated_postgresql_is_reported_with_the_command(shop: Shop) -> None:
    for answer in shop.run_all(EVERYTHING):
        assert refused(answer).endswith("run `icecream migrate` first.")


@once
def test_accounts_are_created_listed_changed_and_disabled(shop: Shop) -> None:
    done(shop.run("migrate"))
    once = r"(\S{16}) \(shown only once\)\.\n"
    zoe = ["zoe", "--admin", "--email", "zoe@example.org", "--password", "correct horse"]
    made, *others = shop.run_all(
        [
            ["user", "create", "corner-shop"],
            ["user", "create", "eve", "--staff", "--password", "correct horse"],
            ["user", "create", *zoe],
        ]
    )
    assert re.fullmatch(f"Created 'corner-shop', password {once}", done(made))
    assert [done(other) for other in others] == ["Created 'eve'.\n", "Created 'zoe'.\n"]

    given, made_up, linked, shut = shop.run_all(
        [
            ["user", "password", "eve", "--password", "better horse"],
            ["user", "password", "zoe"],
            ["user", "link", "zoe"],
            ["user", "disable", "corner-shop"],
        ]
    )
    assert done(given) == "Changed the password of 'eve'.\n"
    assert re.fullmatch(f"Changed the password of 'zoe' to {once}", done(made_up))
    assert re.match(r"http\S+/set-password/#\S{43}\nIt works once, until 20", done(linked))
    assert done(shut) == "Disabled 'corner-shop'.\n"

    header, *rows = [line.split()[1:] for line in done(shop.run("user", "list")).splitlines()]
    assert header == ["USERNAME", "ROLE", "EMAIL", "ACTIVE"]
    assert sorted(rows) == [
        ["admin", "admin", "-", "yes"],
        ["corner-shop", "customer", "-", "no"],
        ["eve", "staff", "-", "yes"],
        ["zoe", "admin", "zoe@example.org", "yes"],
    ]


@once
def test_refused_account_changes_are_reported_in_one_line(shop: Shop) -> None:
    done(shop.run("migrate"))
    said = {
        ("create", "admin"): "There is already an account with this name or email.",
        ("create", "x", "--password", "short"): "A password must have 8 to 128 characters.",
        ("create", "x" * 101): "A name must have 1 to 100 characters",
        ("password", "nobody"): "There is no account 'nobody'.",
        ("disable", "nobody"): "There is no account 'nobody'.",
    }
    answers = shop.run_all([["user", *words] for words in said])
    for answer, expected in zip(answers, said.values(), strict=True):
        assert refused(answer).startswith(expected)


@once
def test_the_last_admin_is_disabled_only_with_yes_and_can_be_enabled(shop: Shop) -> None:
    done(shop.run("migrate"))
    said = refused(shop.run("user", "disable", "admin"))
    assert said.startswith("'admin' is the last active admin: create another one first ")
    done(shop.run("user", "create", "zoe", "--admin", "--password", "correct horse"))
    assert done(shop.run("user", "disable", "admin")) == "Disabled 'admin'.\n"
    refused(shop.run("user", "disable", "zoe"))
    done(shop.run("user", "disable", "zoe", "--yes"))
    assert done(shop.run("user", "enable", "admin")) == "Enabled 'admin'.\n"
    rows = json.loads(done(shop.run("user", "list", "--json")))
    assert [(one["username"], one["active"]) for one in rows] == [("admin", True), ("zoe", False)]


@pytest.mark.parametrize(
    "options", [(), pytest.param(("--workers", "2"), marks=at_scale)], ids=["one", "several"]
)
def test_the_address_is_printed_when_the_port_answers(shop: Shop, options: tuple[str, ...]) -> None:
    done(shop.run("migrate"))
    shop.begin("serve", *options).says("Ice cream at ")
    assert shop.http.get("/health/live").status_code == 200


@once
@pytest.mark.parametrize(
    ("connections", "share"), [(9, "4"), (3, "2")], ids=["divided", "the fewest"]
)
def test_connections_are_shared_among_processes(
    monkeypatch: pytest.MonkeyPatch, connections: int, share: str
) -> None:
    variable = "ICECREAM_DATABASE_CONNECTIONS"
    monkeypatch.setenv(variable, str(connections))
    limited = msgspec.structs.replace(settings.load(), database_connections=connections)
    monkeypatch.setattr(settings, "load", lambda: limited)
    startup.share_connections(2)
    assert os.environ[variable] == share


@at_scale
def test_the_processes_of_a_command_get_a_share_of_its_connections(shop: Shop) -> None:
    done(shop.run("migrate"))
    limit = {"ICECREAM_DATABASE_CONNECTIONS": "9"}
    server = shop.begin("serve", "--workers", "2", **limit)
    worker = shop.begin("worker", "--processes", "2", **limit)
    shop.ready(server)
    worker.says("Charging payments")
    for command in server, worker:
        environments = [
            Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            for pid in command.left_behind()
            if pid != command.pid
        ]
        assert environments
        for environment in environments:
            assert b"ICECREAM_DATABASE_CONNECTIONS=4" in environment


@once
def test_short_commands_take_effect_in_a_running_server(shop: Shop) -> None:
    done(shop.run("migrate"))
    server = shop.begin("serve")
    done(shop.run("user", "create", "corner-shop", "--password", "correct horse"))
    shop.ready(server)
    shop.sign_in("corner-shop", "correct horse")
    shop.order()
    done(shop.run("user", "disable", "corner-shop"))
    # The server caches a verified token for at most a second.
    until(lambda: shop.http.get("/api/orders/").status_code == 401, "the account is disabled", 2)
    if WHICH == "sqlite":
        again = shop.run("serve", ICECREAM_PORT=str(servers.free_port()))
        assert refused(again).startswith("Another process already serves ")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
