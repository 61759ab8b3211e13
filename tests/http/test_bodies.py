"""Test how a path in a request body becomes a JSON pointer."""

import secrets
from typing import Any

import httpx
import pytest
from litestar._parsers import parse_url_encoded_form_data

from icecream import constraints, errors
from icecream.http import bodies
from tests.conftest import Caller, new_flavor

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
    assert errors.json_pointer(constraints.parse_path(path)) == expected


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


@pytest.mark.parametrize("number", ["1e400", "-1e999999999", "9" * 5000])
async def test_a_number_out_of_range_is_named(customer: Caller, flavor: int, number: str) -> None:
    headers = {"Content-Type": "application/json"}
    line = f'{{"flavor": "{flavor}", "quantity": {number}}}'
    for pointer, body in (
        ("/quantity", line),
        ("/lines/0/quantity", f'{{"lines": [{line}]}}'),
    ):
        answer = await customer.request("POST", "/api/orders/", content=body, headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert answer.json()["detail"] == "quantity must be a whole number from 1 to 100000."


async def test_a_name_may_look_like_a_number_with_an_exponent(staff: Caller) -> None:
    assert (await staff.post("/api/flavors/add/", {"name": "1e3"})).status_code == 201


@pytest.mark.parametrize("body", [b"name=%ff", b"name=\xff", b"price=1&name=a%C3", b"name=+%fe"])
async def test_a_form_field_that_is_not_utf8_is_named(staff: Caller, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await staff.request("POST", "/api/flavors/add/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (400, "name must be UTF-8.")
    assert answer.json()["errors"][0]["pointer"] == "/name"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


UTF16 = "\r\nContent-Type: text/plain; charset=utf-16"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (part("price", b"1") + part("name", b"\xff"), "name must be UTF-8."),
        (part("name", b"x", UTF16), "name must be UTF-8."),
        (part("name", b"x", '; filename="x.txt"'), "name must be text, not a file."),
        (part("name", b"x", '; filename=""'), "name must be text, not a file."),
        (part("nam\u00e9", b"x"), "'nam\u00e9' is unknown (did you mean name?)."),
    ],
)
async def test_a_multipart_field_that_is_no_text_is_named(
    staff: Caller, body: bytes, detail: str
) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body += b"--x--\r\n"
    answer = await staff.request("POST", "/api/flavors/add/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)
    assert answer.json()["errors"][0]["pointer"] in ("/name", "/nam\u00e9")


async def test_a_multipart_form_may_name_its_charset(staff: Caller) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    kind = "\r\nContent-Type: text/plain; charset=UTF-8"
    body = part("name", "Crème brûlée".encode(), kind) + b"--x--\r\n"
    answer = await staff.request("POST", "/api/flavors/add/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["name"]) == (201, "Crème brûlée")


# Punycode needs seconds for a large text, and the other one makes lone surrogates.
@pytest.mark.parametrize("charset", ["punycode", "unicode_escape", "utf-7", "zlib", "nonsense"])
async def test_the_client_does_not_choose_the_decoder(
    client: httpx.AsyncClient, charset: str
) -> None:
    kind = f"\r\nContent-Type: text/plain; charset={charset}"
    body = part("username", b"\\ud800", kind) + part("password", b"x") + b"--x--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = await client.post("/api/token/", content=body, headers=headers)
    assert (answer.status_code, answer.json()["detail"]) == (400, "username must be UTF-8.")


@pytest.mark.parametrize("parts", [1000, 1001])
async def test_a_multipart_form_has_at_most_a_thousand_parts(staff: Caller, parts: int) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    body = part("name", b"x") * parts + b"--x--\r\n"
    answer = await staff.request("POST", "/api/flavors/add/", content=body, headers=headers)
    assert answer.status_code == 400
    assert (answer.json()["detail"] == "The form has too many fields.") == (parts > 1000)


async def test_no_form_stays_in_memory(client: httpx.AsyncClient) -> None:
    """Litestar keeps the last 1024 forms that it parses, with their passwords."""
    form = {"username": "x", "password": secrets.token_hex()}
    assert (await client.post("/api/token/", data=form)).status_code == 401
    assert parse_url_encoded_form_data.cache_info().currsize == 0


@pytest.mark.parametrize("kind", ["json", "data", "files"])
@pytest.mark.parametrize("value", ["0", "1", "yes", "on", "", "null", "2"])
async def test_only_true_and_false_are_booleans(staff: Caller, kind: str, value: str) -> None:
    """Otherwise a misunderstood value would sign out everywhere, or archive a flavor."""
    sent: Any = {"archived": (None, value) if kind == "files" else value}
    path = f"/api/flavors/{await new_flavor()}/"
    answer = await staff.request("PATCH", path, **{kind: sent})
    assert (answer.status_code, answer.json()["detail"]) == (400, "archived must be true or false.")
    assert answer.json()["errors"][0]["pointer"] == "/archived"
    answer = await staff.get("/api/flavors/", params={"archived": value})
    assert (answer.status_code, answer.json()["detail"]) == (400, "archived must be true or false.")


@pytest.mark.parametrize("kind", ["json", "data", "files"])
@pytest.mark.parametrize("value", ["true", "True", "false"])
async def test_a_boolean_may_be_text(staff: Caller, kind: str, value: str) -> None:
    sent: Any = {"archived": (None, value) if kind == "files" else value}
    path = f"/api/flavors/{await new_flavor()}/"
    answer = await staff.request("PATCH", path, **{kind: sent})
    assert (answer.status_code, answer.json()["archived"]) == (200, value != "false")


@pytest.mark.parametrize("kind", ["data", "files"])
@pytest.mark.parametrize("values", [["milk"], ["milk", "nuts"]])
async def test_a_list_in_a_form_may_have_one_item(
    staff: Caller, kind: str, values: list[str]
) -> None:
    sent: Any = {"allergens": values}
    if kind == "files":
        sent = [("allergens", (None, value)) for value in values]
    path = f"/api/flavors/{await new_flavor()}/"
    answer = await staff.request("PATCH", path, **{kind: sent})
    assert (answer.status_code, answer.json()["allergens"]) == (200, values)


@pytest.mark.parametrize("value", ["", "null", "x"])
async def test_the_only_item_of_a_list_in_a_form_is_checked(customer: Caller, value: str) -> None:
    answer = await customer.request("POST", "/api/orders/", data={"lines": value})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/lines/0"
    assert answer.json()["detail"] == "an item of lines must be an object."


async def test_a_single_item_in_json_is_no_list(staff: Caller) -> None:
    path = f"/api/flavors/{await new_flavor()}/"
    answer = await staff.request("PATCH", path, json={"allergens": "milk"})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/allergens")


@pytest.mark.parametrize("number", [0, 1, 1.0])
async def test_a_number_is_no_boolean(staff: Caller, number: float) -> None:
    answer = await staff.request(
        "PATCH", f"/api/flavors/{await new_flavor()}/", json={"archived": number}
    )
    assert (answer.status_code, answer.json()["detail"]) == (400, "archived must be true or false.")
