"""Kinds of columns of our own: numbers with bounds, words with CHECK constraints, references."""

from enum import Enum
from typing import Any

from piccolo.columns import BigInt, ForeignKey, OnDelete, OnUpdate, Varchar
from piccolo.table import Table


class Bounded(BigInt):
    """A whole number with its bounds as a CHECK on the column, in a form both databases accept.

    `high` is a number, or the name of another column of the row.
    """

    def __init__(self, low: int, high: int | str | None = None, **kwargs: Any) -> None:
        self.low, self.high = low, high
        super().__init__(**kwargs)
        self._meta.params |= {"low": low, "high": high}

    @property
    def ddl(self) -> str:
        name = self._meta.db_column_name
        high = f'"{self.high}"' if isinstance(self.high, str) else self.high
        upper = "" if high is None else f' AND "{name}" <= {high}'
        return f'{super().ddl} CHECK ("{name}" >= {self.low}{upper})'


class Word(Varchar):
    """One of a few words, with a CHECK on the column."""

    def __init__(self, words: tuple[str, ...], **kwargs: Any) -> None:
        self.words = tuple(words)
        # The choices in the admin; they are not part of the schema that the migrations compare.
        named: Any = {word: word for word in self.words}
        choices: Any = Enum("Word", named)  # type: ignore[misc]  # mypy wants literals
        super().__init__(length=20, **kwargs | {"choices": choices})
        self._meta.params |= {"words": self.words, "choices": None}
        del self._meta.params["length"]

    @property
    def ddl(self) -> str:
        words = ", ".join(f"'{word}'" for word in self.words)
        return f'{super().ddl} CHECK ("{self._meta.db_column_name}" IN ({words}))'


def reference(table: type[Table], **kwargs: Any) -> Any:
    """Return a foreign key that is required and indexed, and forbids deleting its target."""
    kwargs = {"null": False, "index": True, "default": None} | kwargs
    return ForeignKey(table, on_delete=OnDelete.restrict, on_update=OnUpdate.restrict, **kwargs)
