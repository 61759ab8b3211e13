"""Check the API's document with the validators of other projects, and answers with Prism."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import servers
from tests.clients.conftest import MODULES, run
from tests.conftest import ADMIN_PASSWORD
from tests.processes import PATIENCE, ROOT, Shop

pytestmark = [pytest.mark.needs("npm"), pytest.mark.only("sqlite"), pytest.mark.timeout(600)]
COLLECTION = ROOT / "postman_collection/icecream.postman_collection.json"
SWAGGER_PARSER = 'require("@apidevtools/swagger-parser").validate(process.argv[1])'
VALIDATORS = {
    "swagger-parser": f"node --eval '{SWAGGER_PARSER}'",
    "openapi-spec-validator": "openapi-spec-validator",
}
DOCUMENTS = ("openapi.json", "clients.json")
ORDER = {"flavor": 1, "quantity": 1}


@pytest.fixture(scope="module")
def folder(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("validators")
    (folder / "node_modules").symlink_to(MODULES)
    for document in DOCUMENTS:
        (folder / document).write_text(shop.http.get(f"/schema/{document}").text)
    return folder


@pytest.fixture(scope="module")
def prism(shop: Shop, folder: Path) -> Iterator[servers.Server]:
    """Prism checks each request to the service and its response, and logs what is wrong."""
    port = servers.free_port()
    upstream = str(shop.http.base_url)
    server = servers.Server(
        url=f"http://127.0.0.1:{port}",
        port=port,
        command=[
            f"{MODULES}/.bin/prism",
            "proxy",
            f"--port={port}",
            f"{folder}/openapi.json",
            upstream,
        ],
        answers=lambda: "Prism is listening" in server.log.read_text(),
        log=folder / "prism.log",
        seconds_to_start=PATIENCE,
    )
    with servers.running(server):
        yield server


@pytest.fixture
def api(prism: servers.Server, shop: Shop) -> Iterator[httpx.Client]:
    shop.sign_in("admin", ADMIN_PASSWORD)
    headers = {"Authorization": shop.http.headers["Authorization"]}
    with httpx.Client(base_url=prism.url, headers=headers, timeout=PATIENCE) as client:
        yield client


def violations(answer: httpx.Response) -> dict[str, list[Any]]:
    """Return what Prism found wrong in the request and in the response."""
    found: dict[str, list[Any]] = {"request": [], "response": []}
    for one in json.loads(answer.headers.get("sl-violations", "[]")):
        found[one["location"][0]].append(one)
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("validator", VALIDATORS)
def test_validators_accept_both_documents(validator: str, document: str, folder: Path) -> None:
    run(folder, f"{VALIDATORS[validator]} {document}")


def test_prism_finds_nothing_in_a_run_of_all_operations(
    prism: servers.Server, folder: Path
) -> None:
    newman = f"{ROOT}/.ci/node_modules/.bin/newman run {COLLECTION} --bail"
    run(folder, f"{newman} --env-var address={prism.url} --env-var 'password={ADMIN_PASSWORD}'")
    log = prism.log.read_text()
    assert "Forwarding" in log
    assert "Violation" not in log


# The status of the answer, the method, the path, and the rest of the call.
Call = tuple[int, str, str, dict[str, Any]]
WAIT = {"Idempotency-Key": "prism", "Prefer": "wait=30"}
VALID: list[Call] = [
    (200, "POST", "/api/orders", {"json": ORDER, "headers": WAIT}),
    (200, "POST", "/api/orders", {"json": ORDER, "headers": WAIT}),
    (200, "POST", "/api/orders", {"data": ORDER}),
    (200, "POST", "/api/orders", {"json": {"lines": [ORDER]}}),
    (200, "GET", "/api/orders", {"params": {"limit": 1, "count": "true"}}),
    (200, "GET", "/api/orders", {"params": {"format": "csv"}}),
    (304, "GET", "/api/flavors", {"headers": {"If-None-Match": "*"}}),
    (401, "GET", "/api/orders", {"headers": {"Authorization": "Bearer x.y.z"}}),
    (400, "GET", "/api/orders", {"params": {"after": "nonsense"}}),
    (400, "POST", "/api/orders", {"json": {"flavor": 999_999, "quantity": 1}}),
    (404, "GET", "/api/orders/999999", {}),
    (409, "POST", "/api/flavors/add", {"json": {"name": "Vanilla", "price": 250}}),
    (422, "POST", "/api/orders", {"json": {"flavor": 1, "quantity": 2}, "headers": WAIT}),
]
INVALID: list[Call] = [
    (400, "POST", "/api/orders", {"json": ORDER | {"quantity": 0}}),
    (400, "POST", "/api/orders", {"json": ORDER | {"sku": "VAN-5L"}}),
    (400, "GET", "/api/orders", {"params": {"status": "gone"}}),
    (415, "POST", "/api/orders", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
]


def test_prism_accepts_valid_requests_and_all_answers_to_them(api: httpx.Client) -> None:
    for status, method, path, call in VALID:
        answer = api.request(method, path, **call)
        assert answer.status_code == status, answer.text
        assert violations(answer) == {"request": [], "response": []}, (status, method, path)


def test_prism_accepts_the_refusal_of_a_wrong_password(prism: servers.Server) -> None:
    wrong = {"username": "nobody", "password": "nothing"}
    answer = httpx.post(f"{prism.url}/api/token", json=wrong, timeout=PATIENCE)
    assert answer.status_code == 401, answer.text
    assert violations(answer) == {"request": [], "response": []}


def test_prism_accepts_the_refusals_of_invalid_requests(api: httpx.Client) -> None:
    for status, method, path, call in INVALID:
        answer = api.request(method, path, **call)
        assert answer.status_code == status, answer.text
        found = violations(answer)
        assert found["request"], (status, method, path)
        assert found["response"] == [], (status, method, path)
