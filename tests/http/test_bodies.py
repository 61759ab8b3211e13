"""Test how a path in a request body becomes a JSON pointer."""

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
