"""Test problem documents for every kind of error."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from icecream import database
from icecream.database import DB
from icecream.http import problems
from icecream.orders import placing
from tests.conftest import Caller, records_of

pytestmark = pytest.mark.anyio


def check_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    problem: dict[str, Any] = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["type"].endswith(f"/problems#{code}")
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == answer.headers["x-request-id"]
    return problem


@pytest.mark.parametrize("path", ["/nowhere", "/api/", "/api/orders/x/y", "/api/flavors/1e9/"])
async def test_an_unknown_path_is_a_problem_document(customer: Caller, path: str) -> None:
    problem = check_problem(await customer.get(path), 404, "not-found")
    assert problem["instance"].rstrip("/") == path.rstrip("/")


async def test_a_wrong_method_lists_the_allowed_methods(customer: Caller) -> None:
    answer = await customer.request("DELETE", "/api/orders/")
    check_problem(answer, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


@pytest.mark.parametrize(
    "error",
    [
        database.DatabaseUnavailable("gone"),
        database.DatabaseReadOnly("a standby"),
        database.RetryTransaction("25 times"),
        database.CommitOutcomeUnknown("COMMIT may have failed"),
    ],
    ids=repr,
)
async def test_an_unavailable_database_is_503_with_retry_after(
    customer: Caller,
    flavor: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    async def away(*_: Any) -> None:
        raise error

    monkeypatch.setattr(placing.OrderPlacer, "place", away)
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    check_problem(answer, 503, "unavailable")
    assert answer.headers["retry-after"] == "1"
    assert "Traceback" not in caplog.text


async def missing_file() -> None:
    Path("/nowhere/template").read_text()  # noqa: ASYNC240


async def wrong_sql() -> None:
    await DB.run_ddl("SELECT no_such_column FROM flavor")


async def wrong_sql_in_a_transaction() -> None:
    await database.transaction(wrong_sql)


async def slow_provider() -> None:
    raise TimeoutError


@pytest.mark.parametrize(
    "bug", [missing_file, wrong_sql, wrong_sql_in_a_transaction, slow_provider]
)
async def test_a_bug_is_not_mistaken_for_a_database_outage(
    customer: Caller,
    flavor: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    bug: Callable[[], Awaitable[None]],
) -> None:
    monkeypatch.setattr(placing.OrderPlacer, "place", lambda *_: bug())
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    check_problem(answer, 500, "internal-error")
    assert len([one for one in records_of(caplog, problems.log) if one.exc_info]) == 1


async def test_an_unhandled_error_is_a_problem_document_without_secrets(
    customer: Caller,
    flavor: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(*_: Any) -> None:
        raise KeyError("the password is vanilla")

    monkeypatch.setattr(placing.OrderPlacer, "place", broken)
    answer = await customer.post("/api/orders/", {"quantity": 1, "flavor": flavor})
    check_problem(answer, 500, "internal-error")
    assert "vanilla" not in answer.text
    assert "Traceback" not in answer.text
    assert "the password is vanilla" in caplog.text
