"""Deliberate mistakes in the rules for money and stock; `make mutate` shows that tests see them.

A test that passes proves nothing until it is seen to fail. Each mutation is one small mistake in
one file, and the tests that must fail because of it.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A mistake: `old` is replaced by `new` in `file`, after which one of `tests` must fail.

    `tests` is what pytest takes: files, and perhaps `-k word`. `database` is the one that the tests
    run on: `sqlite` or `postgres`.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str
    database: str = "sqlite"


def at(
    file: str, tests: str, *mistakes: tuple[str, str, str], database: str = "sqlite"
) -> list[Mutation]:
    """Mutations of one file that the same tests must see: the name, the old text, the new text."""
    return [Mutation(name, file, old, new, tests, database) for name, old, new in mistakes]
