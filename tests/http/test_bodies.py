"""Test how a path in a request body becomes a JSON pointer."""

from typing import Any

import pytest

from icecream import constraints
from icecream.http import bodies


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
