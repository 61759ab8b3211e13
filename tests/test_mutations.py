"""Test that every mutation still fits the current code."""

import pytest

from tests.mutations import Mutation
from tests.mutations.rules import MUTATIONS
from tests.processes import ROOT

pytestmark = pytest.mark.only("sqlite")


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_a_mutation_has_one_place_in_the_code(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text().count(mutation.old) == 1
    assert mutation.old != mutation.new


def test_no_two_mutations_have_one_name() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(names) == len(set(names))
