"""Test how a path in a request body becomes a JSON pointer."""

from typing import Any

import pytest

from icecream import constraints
from icecream.http import bodies
from tests.conftest import Caller

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("$", ""),
        ("$.quantity", "/quantity"),
        ("$.lines[0].quantity", "/lines/0/quantity"),
        ("$.lines[...]", "/lines/..."),
        ("$.a/b~c", "/a~1b~0c"),
    ],
)
def test_a_path_becomes_a_json_pointer(path: str, expected: str) -> None:
    assert bodies.json_pointer(constraints.parse_path(path)) == expected


@pytest.mark.anyio
async def test_a_response_can_be_sent_several_times() -> None:
    """Middleware that changes a response does not change those of other callers."""
    response: Any = bodies.JsonResponse({"a": 1}, {"ETag": '"1"'})
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.start":
            message["headers"].append((b"x-request-id", b"%d" % len(sent)))

    for _ in range(2):
        await response({}, None, send)
    fields = [(b"content-type", b"application/json"), (b"content-length", b"7"), (b"etag", b'"1"')]
    assert [one["headers"] for one in sent[::2]] == [
        [*fields, (b"x-request-id", b"1")],
        [*fields, (b"x-request-id", b"3")],
    ]
    assert [one["body"] for one in sent[1::2]] == [b'{"a":1}'] * 2


@pytest.mark.parametrize("text", ["1e3", "1E3", "1e0", "1.0e1", "10e-1", "+1e2"])
@pytest.mark.parametrize("kind", ["json", "data"])
async def test_a_text_with_an_exponent_is_no_whole_number(
    customer: Caller, flavor: int, kind: str, text: str
) -> None:
    body: Any = {"quantity": text, "flavor": flavor}
    answer = await customer.request("POST", "/api/orders/", **{kind: body})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/quantity"
    assert "a whole number from 1 to 100000" in answer.json()["detail"]
    lines = {"lines": [{"quantity": 1, "flavor": flavor}, body]}
    answer = await customer.post("/api/orders/", lines)
    assert answer.json()["errors"][0]["pointer"] == "/lines/1/quantity"
    # The original accepts these.
    for number in ("3", "3.0", 3.0, 3):
        body = {"quantity": number, "flavor": flavor}
        assert (await customer.post("/api/orders/", body)).status_code == 200


async def test_a_name_may_look_like_a_number_with_an_exponent(staff: Caller) -> None:
    assert (await staff.post("/api/flavors/add/", {"name": "1e3"})).status_code == 201


@pytest.mark.parametrize("body", [b"name=%ff", b"name=\xff", b"price=1&name=a%C3", b"name=+%fe"])
async def test_a_form_field_that_is_not_utf8_is_named(staff: Caller, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await staff.request("POST", "/api/flavors/add/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (400, "name must be UTF-8.")
    assert answer.json()["errors"][0]["pointer"] == "/name"
