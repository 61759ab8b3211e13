"""Test the definitions that our kinds of columns write into the database."""

from typing import Any

import pytest
from piccolo.columns import OnDelete, OnUpdate
from piccolo.table import Table

from icecream.columns import Bounded, Word, reference


class Shelf(Table, tablename="shelf"):
    """A table that is never created."""

    places = Bounded(1, default=None)
    used = Bounded(0, "places", default=0)
    width = Bounded(10, 90, null=True, default=None)
    kind = Word(("cold", "warm"), default=None)


class Box(Table, tablename="box"):
    """A table with references; it is never created."""

    shelf = reference(Shelf)
    next_shelf = reference(Shelf, null=True, index=False)


@pytest.mark.parametrize(
    ("column", "check"),
    [
        (Shelf.places, 'CHECK ("places" >= 1)'),
        (Shelf.used, 'CHECK ("used" >= 0 AND "used" <= "places")'),
        (Shelf.width, 'CHECK ("width" >= 10 AND "width" <= 90)'),
        (Shelf.kind, "CHECK (\"kind\" IN ('cold', 'warm'))"),
    ],
)
def test_a_column_has_its_check(column: Any, check: str) -> None:
    assert column.ddl.endswith(check)


def test_migrations_see_a_change_of_the_bounds_and_of_the_words() -> None:
    assert (Shelf.used._meta.params["low"], Shelf.used._meta.params["high"]) == (0, "places")
    assert Shelf.kind._meta.params["words"] == ("cold", "warm")


def test_the_choices_of_a_word_are_for_the_admin_only() -> None:
    choices = Shelf.kind._meta.choices
    assert choices is not None
    assert [choice.value for choice in choices] == ["cold", "warm"]
    assert Shelf.kind._meta.params["choices"] is None


def test_a_reference_is_required_and_indexed_and_keeps_its_target() -> None:
    assert (Box.shelf._meta.null, Box.shelf._meta.index) == (False, True)
    assert (Box.next_shelf._meta.null, Box.next_shelf._meta.index) == (True, False)
    for column in (Box.shelf, Box.next_shelf):
        keys = column._foreign_key_meta
        assert (keys.on_delete, keys.on_update) == (OnDelete.restrict, OnUpdate.restrict)
