"""Test that the container files match the code and the settings."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from dotenv import dotenv_values

from icecream import settings
from icecream.cli import worker
from tests.processes import ROOT

COMPOSE, DOCKERFILE = ((ROOT / name).read_text() for name in ("docker-compose.yml", "Dockerfile"))
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
        'ICECREAM_ADMIN_PASSWORD: ""',
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
