"""Test that no garbage is collected while a process imports and builds what it keeps."""

import gc
from collections.abc import Iterator

import pytest

from icecream.runtime import garbage_collection


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_a_pause_freezes_what_it_created() -> None:
    with garbage_collection.paused():
        assert not gc.isenabled()
        created: list[object] = [[]]
    assert gc.isenabled()
    assert not any(one is created for one in gc.get_objects())


def test_a_failed_pause_ends() -> None:
    with pytest.raises(ImportError), garbage_collection.paused():
        raise ImportError("broken")
    assert gc.isenabled()


def test_objects_that_exist_can_be_ignored() -> None:
    created: list[object] = [[]]
    garbage_collection.ignore_current_objects()
    assert not any(one is created for one in gc.get_objects())


def test_the_objects_of_a_batch_are_not_scanned_while_they_live() -> None:
    garbage_collection.ignore_current_objects()
    before = gc.get_stats()[0]["collections"]
    batch: list[list[int]] = [[] for _ in range(5_000)]
    assert len(batch) == 5_000
    assert gc.get_stats()[0]["collections"] - before <= 1
