"""Test with Schemathesis that the API does what its OpenAPI document says, for every role."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from icecream import settings
from icecream.database import DB
from tests.conftest import PASSWORD, WHICH
from tests.fuzz.streams import FIRST_BLOCK_ONLY
from tests.processes import Shop

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]
SETTINGS = {"ICECREAM_RATE_LIMIT": "1000000/minute"}
ROLES = {"customer": [], "staff": ["--staff"], "boss": ["--admin"]}
EXAMPLES = 50
# A request that fits the schema may still be refused with 400, for a rule that a schema cannot
# state: a flavor that does not exist, a day after another one, a cursor of another list. And with
# 422, because the key of each example is used for several requests.
CONFIGURATION = """
[checks]
positive_data_acceptance.expected-statuses = ["2xx", 304, 400, 401, 403, 404, 409, 412, 422, 429]
"""


@pytest.fixture(scope="module")
async def database_url(opened: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    if WHICH == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('fuzz')}/shop.sqlite"
    await DB.run_ddl("CREATE DATABASE fuzz")
    return settings.load().database_url.rpartition("/")[0] + "/fuzz"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Shop]:
    with Shop(tmp_path_factory.mktemp("shop"), database_url, **SETTINGS) as shop:
        assert shop.run("migrate").returncode == 0
        for role, options in ROLES.items():
            made = shop.run("user", "create", role, "--password", PASSWORD, *options)
            assert made.returncode == 0, made.stdout
        shop.ready(shop.begin_altered(FIRST_BLOCK_ONLY, "serve"))
        yield shop


@pytest.fixture(scope="module")
def headers(shop: Shop) -> dict[str, list[str]]:
    """The option with the token of each role; the generated sign-ins use their limit up."""
    options: dict[str, list[str]] = {"anonymous": []}
    for role in ROLES:
        token = shop.sign_in(role, PASSWORD)["access"]
        options[role] = ["--header", f"Authorization: Bearer {token}"]
    return options


@pytest.mark.parametrize("role", ["anonymous", *ROLES])
def test_every_answer_is_documented(
    shop: Shop, headers: dict[str, list[str]], role: str, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    address = f"{shop.http.base_url}/schema/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--checks=all", f"--max-examples={EXAMPLES}", "--continue-on-failure"]
    run = subprocess.run(
        [program, "run", address, *options, "--generation-deterministic", *headers[role]],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert run.returncode == 0, run.stdout
