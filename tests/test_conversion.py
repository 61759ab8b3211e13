"""Test the conversion of received values: what is valid, and the error about what is not."""

from typing import Any

import pytest
from msgspec import Struct

from icecream import conversion, errors


class _Packing(Struct, forbid_unknown_fields=True):
    boxes: int
    heavy: bool = False
    note: str | None = None


@pytest.mark.parametrize(
    ("values", "converted"),
    [
        ({"boxes": "6"}, _Packing(6)),
        ({"boxes": 6, "heavy": "true", "note": None}, _Packing(6, True)),
    ],
)
def test_numbers_and_truth_values_may_be_text(values: Any, converted: _Packing) -> None:
    assert conversion.convert_body(values, _Packing) == converted


@pytest.mark.parametrize(
    ("values", "pointer", "code"),
    [
        ({}, "/boxes", "missing"),
        ({"boxes": "1e3"}, "/boxes", "invalid"),
        ({"boxes": 1.5}, "/boxes", "invalid"),
        ({"boxes": 1, "heavy": 1}, "/heavy", "invalid"),
        ({"boxes": 1, "colour": "red"}, "/colour", "unknown-field"),
        ([], "", "invalid"),
    ],
)
def test_an_invalid_value_is_refused_with_its_place(values: Any, pointer: str, code: str) -> None:
    with pytest.raises(errors.ValidationFailed) as raised:
        conversion.convert_body(values, _Packing)
    (error,) = raised.value.members["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
