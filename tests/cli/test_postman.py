"""Test the Postman collection."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from icecream.cli import postman_collection
from tests.conftest import ADMIN_PASSWORD
from tests.processes import ROOT, Shop

COMMITTED = ROOT / "postman_collection/icecream.postman_collection.json"
ADDRESS = "http://127.0.0.1:8000"
NEWMAN = ROOT / ".ci/node_modules/.bin/newman"


def requests(folder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in folder["item"]:
        yield from requests(item) if "item" in item else [item]


@pytest.mark.anyio
async def test_the_committed_collection_matches_the_document(client: httpx.AsyncClient) -> None:
    document = (await client.get("/schema/openapi.json")).json()
    made = postman_collection.build_collection(document, ADDRESS)
    command = f"ICECREAM_PUBLIC_URL={ADDRESS} .venv/bin/icecream postman > {COMMITTED}"
    assert json.loads(COMMITTED.read_text()) == made, f"run: {command}"


def test_the_collection_has_every_operation_and_signs_in_first() -> None:
    found = list(requests(json.loads(COMMITTED.read_text())))
    assert [one["request"]["method"] + one["request"]["url"]["raw"][11:] for one in found] == [
        "POST/api/token",
        "POST/api/token/refresh",
        "GET/api/flavors",
        "POST/api/flavors/add",
        "GET/api/flavors/:flavor",
        "PATCH/api/flavors/:flavor",
        "POST/api/flavors/:flavor/stock",
        "GET/api/my-orders",
        "GET/api/orders",
        "POST/api/orders",
        "POST/api/orders/quote",
        "GET/api/orders/states",
        "GET/api/orders/:order",
        "POST/api/orders/:order/cancel",
        "POST/api/orders/:order/pay",
        "POST/api/orders/:order/refund",
        "POST/api/orders/fulfilment",
        "GET/api/packing-list",
        "GET/api/payment-method",
        "PUT/api/payment-method",
        "DELETE/api/payment-method",
        "GET/api/payments",
        "GET/api/payments/:payment",
        "POST/api/payments/:payment/book",
        "POST/api/payments/:payment/refund",
        "POST/api/payments/:payment/release",
        "POST/api/payments/:payment/retry",
        "GET/api/dashboard",
        "GET/api/stats",
        "GET/api/webhooks",
        "POST/api/webhooks",
        "GET/api/webhooks/:endpoint",
        "PATCH/api/webhooks/:endpoint",
        "GET/api/webhooks/:endpoint/deliveries",
        "POST/api/webhooks/:endpoint/rotate",
        "POST/api/webhooks/:endpoint/test",
        "POST/api/webhooks/:endpoint/replay",
        "DELETE/api/webhooks/:endpoint",
        "GET/api/export/:kind",
        "POST/api/import/:kind",
        "GET/api/keys",
        "POST/api/keys",
        "DELETE/api/keys/:api_key",
        "GET/api/me",
        "POST/api/me/password",
        "POST/api/token/revoke",
    ]
    for one in found:
        opened = one["request"].get("auth") == {"type": "noauth"}
        assert opened == ("/api/token" in one["request"]["url"]["raw"])


def test_an_id_in_a_body_is_a_number() -> None:
    (replay,) = (
        one["request"]["body"]["raw"]
        for one in requests(json.loads(COMMITTED.read_text()))
        if one["request"]["url"]["raw"].endswith("/replay")
    )
    assert replay.replace("{{delivery}}", "1") == '{\n  "delivery": 1\n}'


@pytest.mark.needs("npm")
def test_the_collection_runs_from_top_to_bottom_repeatedly(
    tmp_path: Path, empty_database: str
) -> None:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        shop.serve()
        report = tmp_path / "report.json"
        given = {"address": f"http://127.0.0.1:{shop.port}", "password": ADMIN_PASSWORD}
        run = subprocess.run(
            [
                *(str(NEWMAN), "run", str(COMMITTED), "--iteration-count=2"),
                *(f"--env-var={name}={value}" for name, value in given.items()),
                *("--reporters=json", f"--reporter-json-export={report}"),
            ],
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        stats = json.loads(report.read_text())["run"]["stats"]
        assert stats["requests"] == {"total": 92, "pending": 0, "failed": 0}
        assert stats["assertions"] == {"total": 92, "pending": 0, "failed": 0}
        shop.sign_in("admin", ADMIN_PASSWORD)
        assert [one["quantity"] for one in shop.http.get("/api/orders/").json()] == [2, 2]
