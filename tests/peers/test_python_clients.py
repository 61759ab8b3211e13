"""Test the Python clients that well-known generators make of the served API document."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ADMIN_PASSWORD
from tests.processes import ROOT, Shop

pytestmark = pytest.mark.only("sqlite")
TOOLS = Path(sys.executable).parent


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    settings = {"ICECREAM_PAYMENT_FAILURE_RATE": "0"}
    with Shop(tmp_path / "shop", "sqlite:///icecream.sqlite", **settings) as shop:
        shop.serve()
        yield shop


@pytest.fixture
def document(shop: Shop, tmp_path: Path) -> Path:
    path = tmp_path / "clients.json"
    path.write_bytes(shop.http.get("/schema/clients.json").content)
    return path


def done(*command: object, **environment: str) -> None:
    """Run a command, which must succeed."""
    words = [str(word) for word in command]
    run = subprocess.run(
        words,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:]


@pytest.mark.parametrize("name", ["openapi", "clients"])
def test_the_documents_are_valid(shop: Shop, tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.json"
    path.write_bytes(shop.http.get(f"/schema/{name}.json").content)
    done(TOOLS / "openapi-spec-validator", path)


def test_openapi_python_client_makes_a_strictly_typed_client(
    shop: Shop, document: Path, tmp_path: Path
) -> None:
    folder, program = tmp_path / "client", tmp_path / "program.py"
    # The generator's own settings let Ruff change types so that mypy finds errors.
    options = [f"--config={ROOT}/clients/python/generator.yaml", "--meta=none"]
    options += [f"--path={document}", f"--output-path={folder}/icecream_client"]
    path = f"{TOOLS}{os.pathsep}{os.environ['PATH']}"
    done(TOOLS / "openapi-python-client", "generate", *options, "--fail-on-warning", PATH=path)
    program.write_text((ROOT / "tests/client_program.py").read_text())
    done(TOOLS / "mypy", "--strict", "--config-file=", program, MYPYPATH=str(folder))
    address = shop.http.base_url
    done(sys.executable, program, address, ADMIN_PASSWORD, PYTHONPATH=str(folder))


@pytest.mark.needs("java")
def test_openapi_generator_makes_a_working_client(
    shop: Shop, document: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "client"
    options = ["-g", "python", "-i", document, "-o", folder]
    done(TOOLS / "openapi-generator-cli", "generate", *options)
    program, address = ROOT / "tests/peers/generated_client.py", shop.http.base_url
    done(sys.executable, program, address, ADMIN_PASSWORD, PYTHONPATH=str(folder))
