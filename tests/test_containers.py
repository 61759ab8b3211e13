"""Test that the container files match the code and the settings."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values

from icecream import settings
from icecream.cli import serve
from tests.processes import TOP

COMPOSE, DOCKERFILE = ((TOP / name).read_text() for name in ("docker-compose.yml", "Dockerfile"))
pytestmark = pytest.mark.only("sqlite")


def make_secrets(folder: Path) -> dict[str, str]:
    environment = {name: os.environ[name] for name in os.environ if not name.startswith("MAKE")}
    command = ["make", "--file", str(TOP / "Makefile"), ".env"]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
    return {name: value or "" for name, value in dotenv_values(folder / ".env").items()}


def test_the_secrets_are_random_private_and_made_once(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    secrets = make_secrets(one)
    assert (one / ".env").stat().st_mode & 0o777 == 0o600
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets.values())
    assert not set(secrets.values()) & set(make_secrets(other).values())
    assert make_secrets(one) == secrets
    assert [path.name for path in one.iterdir()] == [".env"]


def test_the_secrets_are_what_the_compose_file_and_the_settings_ask_for(tmp_path: Path) -> None:
    secrets = make_secrets(tmp_path)
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert required <= set(secrets)
    # `make run` reads the same file and must still use the embedded mode.
    assert settings.read(secrets).embedded


def test_the_compose_file_names_settings_that_exist() -> None:
    named = set(re.findall(rf"{settings.PREFIX}(\w+)", COMPOSE))
    assert named and named <= {name.upper() for name in settings.Settings.__struct_fields__}


def test_the_containers_may_take_longer_to_stop_than_ours_need() -> None:
    [grace] = re.findall(r"stop_grace_period: (\d+)s", COMPOSE)
    assert int(grace) > serve.STOP_SECONDS


def test_what_the_security_page_promises_is_asked_for() -> None:
    ours = COMPOSE[COMPOSE.index("x-ours:") : COMPOSE.index("services:")].split("\n  ")
    for line in (
        "read_only: true",
        "cap_drop: [ALL]",
        'security_opt: ["no-new-privileges:true"]',
        'ICECREAM_ADMIN_PASSWORD: ""',
    ):
        assert line in map(str.strip, ours)
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", final, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK ", final, re.MULTILINE)
    assert "CA_BUNDLE" not in final


def test_the_image_gets_everything_that_is_installed() -> None:
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", DOCKERFILE, re.MULTILINE)
    tools = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["setuptools"]
    packages = [name.removesuffix("*") for name in tools["packages"]["find"]["include"]]
    modules = [f"{name}.py" for name in tools["py-modules"]]
    assert {*packages, *modules} <= set(" ".join(copied).split())
