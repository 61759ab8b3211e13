"""Test that no garbage is collected while a process imports and builds what it keeps."""

import gc
from collections.abc import Iterator

import pytest

from icecream.runtime import garbage_collection


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    yield
    gc.unfreeze()


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
