"""Bodies."""

import pytest

from icecream import bodies


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
    assert bodies.pointer(path) == expected


@pytest.mark.parametrize(
    ("text", "pointer", "code"),
    [
        ("Object missing required field `quantity`", "/quantity", "missing"),
        ("Object missing required field `x` - at `$.lines[2]`", "/lines/2/x", "missing"),
        ("Object contains unknown field `a.b`", "/a.b", "unknown-field"),
        ("Object contains unknown field `a` - at `$.b`", "/b/a", "unknown-field"),
        ("Expected `int`, got `str` - at `$.quantity`", "/quantity", "invalid"),
        ("Expected `object`, got `array`", "", "invalid"),
    ],
)
def test_msgspecs_words_become_a_refusal_that_names_the_field(
    text: str, pointer: str, code: str
) -> None:
    (error,) = bodies._refusal(text).members["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert "`" not in error["detail"]
