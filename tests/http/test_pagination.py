"""Test the paging of long lists: cursors and parameters with a fixed set of values."""

import pytest

from icecream import errors
from icecream.http import pagination


@pytest.mark.parametrize("sort", ["id", "-total"])
def test_a_cursor_is_encoded_and_decoded(sort: str) -> None:
    where = pagination.Cursor(sort, 2**63 - 1, 7)
    assert pagination.decode_cursor(where.encoded, sort) == where
    assert len(where.encoded) <= 200
    with pytest.raises(errors.ValidationFailed):
        pagination.decode_cursor(where.encoded, "total")


def test_an_absent_parameter_is_no_choice() -> None:
    assert pagination.parse_choice("sort", None, ["id"]) is None
    assert pagination.parse_choice("sort", "id", ["id"]) == "id"
    with pytest.raises(errors.ValidationFailed, match=r"sort must be one of id, total\."):
        pagination.parse_choice("sort", "name", ["id", "total"])
