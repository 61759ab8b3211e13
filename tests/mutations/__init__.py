"""Deliberate mistakes in the rules for money and stock; `make mutate` shows that tests see them.

A passing test proves something only if it can fail. Each mutation is one small mistake in one
file, with the tests that must fail because of it.
"""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A mistake: `old` is replaced by `new` in `file`, and then one of `tests` must fail.

    `tests` are arguments of pytest: files, and perhaps `-k word`. `database` is the database of the
    tests: `sqlite` or `postgres`.
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
    """Return mutations of one file for the same tests; a mistake is (name, old text, new text)."""
    return [Mutation(name, file, old, new, tests, database) for name, old, new in mistakes]
