"""Test the paging of long lists: cursors and parameters with a fixed set of values."""

import pytest
from msgspec import Struct

from icecream import errors
from icecream.http import pagination


class Row(Struct):
    id: int
    total: int


@pytest.mark.parametrize("sort", ["id", "-total"])
def test_a_cursor_is_encoded_and_decoded(sort: str) -> None:
    where = pagination.Cursor(sort, 2**63 - 1, 7)
    assert pagination.decode_cursor(where.encoded, sort) == where
    assert len(where.encoded) <= 200
    with pytest.raises(errors.ValidationFailed):
        pagination.decode_cursor(where.encoded, "total")


@pytest.mark.parametrize(
    ("count", "body", "end"),
    [
        (0, b"[]", None),
        (2, b'[{"id":0,"total":9},{"id":1,"total":8}]', None),
        (3, b'[{"id":0,"total":9},{"id":1,"total":8}]', pagination.Cursor("-total", 8, 1)),
    ],
)
def test_a_page_has_an_end_only_if_more_rows_follow(
    count: int, body: bytes, end: pagination.Cursor | None
) -> None:
    rows = [Row(n, 9 - n) for n in range(count)]
    assert pagination.encode_page(rows, 2, "-total") == pagination.Page(body, end)


def test_an_absent_parameter_is_no_choice() -> None:
    assert pagination.parse_choice("sort", None, ["id"]) is None
    assert pagination.parse_choice("sort", "id", ["id"]) == "id"
    with pytest.raises(errors.ValidationFailed, match=r"sort must be one of id, total\."):
        pagination.parse_choice("sort", "name", ["id", "total"])
