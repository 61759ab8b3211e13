"""Test `icecream webhooks`: endpoints are managed without the API."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_cli import done, refused
from tests.processes import Shop

pytestmark = pytest.mark.only("sqlite")
URL = "https://shop.example.org/hooks"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", f"sqlite:///{tmp_path}/shop.sqlite") as shop:
        done(shop.run("migrate"))
        yield shop


def run(shop: Shop, *words: str) -> str:
    return done(shop.run("webhooks", *words))


def test_an_endpoint_is_created_changed_tested_and_deleted(shop: Shop) -> None:
    made = run(shop, "create", "admin", URL, "--type", "order.paid")
    secret = re.search(r"endpoint 1, secret (whsec_\S+) \(shown only once\)", made)
    assert secret is not None
    (listed,) = json.loads(run(shop, "list", "--json"))
    assert (listed["url"], listed["types"], listed["enabled"]) == (URL, ["order.paid"], True)
    assert "whsec_" in run(shop, "rotate", "1", "--hours", "0")
    assert secret[1] not in run(shop, "rotate", "1")
    assert run(shop, "disable", "1") == "Disabled endpoint 1.\n"
    assert "It was disabled by its user." in run(shop, "list")
    assert "disabled" in refused(shop.run("webhooks", "test", "1"))
    assert run(shop, "enable", "1") == "Enabled endpoint 1.\n"
    assert "Queued message test_" in run(shop, "test", "1")
    (sent,) = json.loads(run(shop, "deliveries", "1", "--json"))
    assert (sent["type"], sent["state"], sent["tries"]) == ("webhook.test", "pending", 0)
    assert run(shop, "replay", "1", "--delivery", str(sent["id"])) == "Queued 1 messages.\n"
    assert run(shop, "replay", "1", "--since", "2025-05-13") == "Queued 0 messages.\n"
    assert run(shop, "delete", "1") == "Deleted endpoint 1.\n"
    assert json.loads(run(shop, "list", "--json")) == []


def test_what_is_not_allowed_is_refused_in_one_line(shop: Shop) -> None:
    for url in ("http://shop.example.org/", "https://10.0.0.1/", "shop.example.org"):
        assert refused(shop.run("webhooks", "create", "admin", url)).startswith("url must ")
    assert "types must" in refused(shop.run("webhooks", "create", "admin", URL, "--type", "paid"))
    assert refused(shop.run("webhooks", "delete", "7"))
    assert "--since" in refused(shop.run("webhooks", "replay", "7"))
