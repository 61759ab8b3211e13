"""Sentences for people about the values that a type allows."""

import difflib
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from msgspec import ValidationError, inspect

# msgspec reports missing and unknown fields only in its text, with the place in JSONPath.
_FIELD = re.compile(r"^Object (missing required|contains unknown) field `(.*?)`(?: - at `(.*)`)?$")
_PLACE = re.compile(r" - at `(\$.*)`$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class Unfit(ValueError):
    """A refusal by a struct's own check: the field, and the rest of the sentence about it."""

    def __init__(self, field: str, predicate: str) -> None:
        super().__init__(f"{field} {predicate}")
        self.field, self.predicate = field, predicate


class Fault(NamedTuple):
    """An invalid value: its place, and the predicate about it ("must be a whole number")."""

    steps: tuple[str, ...]
    code: str
    predicate: str

    @property
    def sentence(self) -> str:
        """The whole sentence, which names the field."""
        if self.code == "unknown-field":
            return f"{self.steps[-1]!r} {self.predicate}."
        names = [step for step in self.steps if not _is_index(step)]
        subject = names[-1] if names else "the body"
        if self.steps and _is_index(self.steps[-1]):
            subject = f"an item of {subject}"
        return f"{subject} {self.predicate}."


def _is_index(step: str) -> bool:
    return step.isdigit() or step == "..."


def steps(path: str) -> tuple[str, ...]:
    """Return the members and items of a path such as msgspec's `$.lines[0].quantity`."""
    return tuple(key or index for key, index in _STEP.findall(path))


def fault(error: ValidationError, kind: Any) -> Fault:
    """Return the fault for an error that msgspec found in a value of this type."""
    text, cause = str(error), error.__cause__
    if isinstance(cause, Unfit):
        return Fault((cause.field,), "invalid", cause.predicate)
    if field := _FIELD.match(text):
        # A received name may contain any text, so it is never parsed as a path.
        place = (*steps(field[3] or "$"), field[2])
        if field[1].startswith("missing"):
            return Fault(place, "missing", "is required")
        names = _names(_at(_type(kind), place[:-1]))
        return Fault(place, "unknown-field", "is not known" + meant(field[2], names))
    found = _PLACE.search(text)
    place = steps(found[1] if found else "$")
    return Fault(place, "invalid", f"must be {allowed(_at(_type(kind), place))}")


def meant(name: str, names: Iterable[str]) -> str:
    """Return a hint with the most similar name, or an empty text if none is similar."""
    near = difflib.get_close_matches(name[:100], names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def of(kind: Any) -> str:
    """Return the description of the allowed values of a type."""
    return allowed(_type(kind))


@cache
def null_words(kind: Any) -> dict[str, str]:
    """Return the members for which msgspec reads the word "null" as null, with their values."""
    found = _type(kind)
    fields = found.fields if isinstance(found, inspect.StructType) else ()
    return {one.encode_name: allowed(one.type) for one in fields if _takes_word(one.type)}


def takes_null_word(kind: Any) -> bool:
    """Return whether msgspec reads the word "null" as null: if null is allowed and text is not."""
    return _takes_word(_type(kind))


def _takes_word(kind: inspect.Type) -> bool:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    plain = [one.type if isinstance(one, inspect.Metadata) else one for one in kinds]
    text = any(isinstance(one, inspect.StrType) for one in plain)
    return not text and any(isinstance(one, inspect.NoneType) for one in plain)


@cache
def _type(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _at(kind: inspect.Type, place: Iterable[str]) -> inspect.Type:
    for step in place:
        kind = _inner(kind, step)
    return kind


def _inner(kind: inspect.Type, step: str) -> inspect.Type:
    match kind:
        case inspect.Metadata():
            return _inner(kind.type, step)
        case inspect.UnionType():
            found = [_inner(one, step) for one in kind.types]
            return next((one for one in found if not isinstance(one, inspect.AnyType)), found[0])
        case inspect.StructType():
            fields = {field.encode_name: field.type for field in kind.fields}
            return fields.get(step, inspect.AnyType())
        case inspect.ListType() | inspect.VarTupleType():
            return kind.item_type
    return inspect.AnyType()


def _names(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.Metadata():
            return _names(kind.type)
        case inspect.StructType():
            return [field.encode_name for field in kind.fields]
    return []


def allowed(kind: inspect.Type) -> str:
    """Describe the allowed values of a type; `words` among the extras of a `Meta` come first."""
    match kind:
        case inspect.Metadata():
            return str((kind.extra or {}).get("words", "{}")).format(allowed(kind.type))
        case inspect.UnionType():
            return ", or ".join(allowed(one) for one in kind.types)
        case inspect.LiteralType():
            return one_of(map(str, kind.values))
        case inspect.IntType() | inspect.FloatType():
            name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return name + _range(kind)
        case inspect.StrType() | inspect.ListType() | inspect.VarTupleType():
            return _sized(kind)
    return _SIMPLE.get(type(kind), "of another kind")


_SIMPLE: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.StructType: "an object",
    inspect.DateType: "a day, such as 2025-05-13",
    inspect.DateTimeType: "a time with its offset, such as 2025-05-13T10:22:06Z",
}


def one_of(words: Iterable[str]) -> str:
    """Return the text for a choice of a few words."""
    return f"one of {', '.join(words)}"


def _range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    bounds = {
        "at least": kind.ge,
        "greater than": kind.gt,
        "at most": kind.le,
        "less than": kind.lt,
    }
    told = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return " " + " and ".join(told) if told else ""


def _sized(kind: inspect.StrType | inspect.ListType | inspect.VarTupleType) -> str:
    text = isinstance(kind, inspect.StrType)
    name, unit = ("text", "characters") if text else ("a list", "items")
    match kind.min_length, kind.max_length:
        case None, None:
            return name
        case None, most:
            return f"{name} of at most {most} {unit}"
        case least, None:
            return f"{name} of at least {least} {unit}"
        case least, most:
            return f"{name} of {least} to {most} {unit}"
