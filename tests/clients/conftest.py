"""A running service, and commands of other projects."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ADMIN_PASSWORD
from tests.processes import ROOT, Shop

MODULES = ROOT / ".ci/clients/node_modules"
PATH = f"{MODULES}/.bin:{ROOT}/.venv/bin:{os.environ['PATH']}"


def run(folder: Path, command: str) -> str:
    """Run a command in a folder, and return its output."""
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=os.environ | {"PATH": PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-5000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    settings = {"ICECREAM_PAYMENT_FAILURE_RATE": "0"}
    folder = tmp_path_factory.mktemp("shop")
    with Shop(folder, "sqlite:///icecream.sqlite", **settings) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield shop
