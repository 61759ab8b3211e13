"""Test with Schemathesis that the API does what its OpenAPI document says, for every role."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import WHICH
from tests.fuzz import refusals
from tests.fuzz.streams import FIRST_BLOCK_ONLY
from tests.processes import Shop

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800)]
SETTINGS = {"ICECREAM_RATE_LIMIT": "1000000/minute"}
ROLES: dict[str, list[str]] = {"customer": [], "staff": ["--staff"], "boss": ["--admin"]}
# Not the one of the document's examples: their requests would change it, and end the token.
PASSWORD = "no example of the document"
EXAMPLES = 30
# Statuses for requests that fit the schema, where a rule is not about the form of the request.
EXPECTED = [
    "2xx",
    304,  # the list is unchanged
    404,  # there is no such order, flavor or payment
    409,  # the state of an order, the stock, a name in use
    412,  # the flavor was edited
    422,  # the key of an example was used for another request
    429,  # sign-ins are limited
]
CONFIGURATION = """
hooks = "{hooks}"
[checks]
positive_data_acceptance.expected-statuses = {expected}
"""
OPERATION = """
[[operations]]
include-name = "{name}"
[operations.checks]
positive_data_acceptance.expected-statuses = {expected}
"""


# A shop for each role: generated sign-ins use the limit of an address up.
@pytest.fixture
def shop(tmp_path: Path, empty_database: str) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", empty_database, **SETTINGS) as shop:
        assert shop.run("migrate").returncode == 0
        shop.ready(shop.begin_altered(FIRST_BLOCK_ONLY, "serve"))
        if WHICH != "sqlite":
            # It pays the orders: the document's example waits ten seconds for that.
            shop.worker()
        yield shop


def sign_in(shop: Shop, role: str) -> list[str]:
    """Create an account, and return the option with its token."""
    made = shop.run("user", "create", role, "--password", PASSWORD, *ROLES[role])
    assert made.returncode == 0, made.stdout
    return ["--header", f"Authorization: Bearer {shop.sign_in(role, PASSWORD)['access']}"]


def configuration(role: str) -> str:
    """Return the configuration: each operation's own statuses for requests that fit the schema."""
    # Without a token, every other request is 401.
    expected = [*EXPECTED, 401 if role == "anonymous" else 403]
    text = CONFIGURATION.format(hooks=refusals.__file__, expected=expected)
    for status, names in ((400, refusals.BAD_VALUES), (401, refusals.CREDENTIALS)):
        for name in names:
            text += OPERATION.format(name=name, expected=[*expected, status])
    return text


@pytest.mark.parametrize("role", ["anonymous", *ROLES])
def test_every_answer_is_documented(shop: Shop, role: str, tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(configuration(role))
    address = f"{shop.http.base_url}/schema/openapi.json"
    program = str(Path(sys.executable).with_name("schemathesis"))
    options = ["--checks=all", f"--max-examples={EXAMPLES}", "--continue-on-failure"]
    # A busy machine is slow, and an order may wait for its payment.
    options += ["--generation-deterministic", "--request-timeout=60"]
    token = [] if role == "anonymous" else sign_in(shop, role)
    run = subprocess.run(
        [program, "run", address, *options, *token],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    print(run.stdout)  # noqa: T201  # the figures
    assert run.returncode == 0
    # Otherwise most answers would have been 401.
    assert role == "anonymous" or shop.http.get("/api/me/").status_code == 200
