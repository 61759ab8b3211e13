"""Test the paging of long lists: cursors and parameters with a fixed set of values."""

import pytest

from icecream import errors
from icecream.http import pagination


@pytest.mark.parametrize("sort", ["id", "-total"])
def test_a_place_is_found_again_by_its_word(sort: str) -> None:
    where = pagination.Place(sort, 2**63 - 1, 7)
    assert pagination.place(where.word, sort) == where
    assert len(where.word) <= 200
    with pytest.raises(errors.ValidationFailed):
        pagination.place(where.word, "total")


def test_a_word_that_is_missing_asks_for_nothing() -> None:
    assert pagination.one_of("sort", None, ["id"]) is None
    assert pagination.one_of("sort", "id", ["id"]) == "id"
    with pytest.raises(errors.ValidationFailed, match=r"sort must be one of id, total\."):
        pagination.one_of("sort", "name", ["id", "total"])
