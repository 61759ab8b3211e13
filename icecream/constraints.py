"""Descriptions of the values that a type allows, for error messages."""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, NamedTuple

from msgspec import ValidationError, inspect

# msgspec reports missing and unknown fields only in its text, with the place in JSONPath.
_FIELD_ERROR_PATTERN = re.compile(
    r"^Object (missing required|contains unknown) field `(.*?)`(?: - at `(.*)`)?$"
)
_PLACE_PATTERN = re.compile(r" - at `(\$.*)`$", re.DOTALL)
_STEP_PATTERN = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")


class InvalidValue(ValueError):
    """An invalid value that a struct's own check found: the field, and the predicate about it."""

    def __init__(self, field: str, predicate: str) -> None:
        super().__init__(f"{field} {predicate}")
        self.field, self.predicate = field, predicate


class FieldProblem(NamedTuple):
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


def parse_path(path: str) -> tuple[str, ...]:
    """Return the members and items of a path such as msgspec's `$.lines[0].quantity`."""
    return tuple(key or index for key, index in _STEP_PATTERN.findall(path))


def explain_error(error: ValidationError, kind: Any) -> FieldProblem:
    """Return the fault for an error that msgspec found in a value of this type."""
    text, cause = str(error), error.__cause__
    found = _PLACE_PATTERN.search(text)
    place = parse_path(found[1] if found else "$")
    if isinstance(cause, InvalidValue):
        return FieldProblem((*place, cause.field), "invalid", cause.predicate)
    if field := _FIELD_ERROR_PATTERN.match(text):
        # A received name may contain any text, so it is never parsed as a path.
        member = (*parse_path(field[3] or "$"), field[2])
        if field[1].startswith("missing"):
            return FieldProblem(member, "missing", "is required")
        names = _field_names(_type_at(_type_info(kind), member[:-1]))
        return FieldProblem(member, "unknown-field", "is unknown" + suggest_name(field[2], names))
    return FieldProblem(
        place, "invalid", f"must be {describe_values(_type_at(_type_info(kind), place))}"
    )


def suggest_name(name: str, names: Iterable[str]) -> str:
    """Return a hint with the most similar name, or an empty text if none is similar."""
    near = difflib.get_close_matches(name[:100], names, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def describe_type(kind: Any) -> str:
    """Return the description of the allowed values of a type."""
    return describe_values(_type_info(kind))


def find_misread_field(kind: Any, values: Mapping[str, Any]) -> FieldProblem | None:
    """Return the first member with a value that msgspec would misread, as a problem."""
    for name, allowed in _fields_with_words(kind).items():
        if name in values and _is_misread(allowed, values[name]):
            return FieldProblem((name,), "invalid", f"must be {describe_values(allowed)}")
    return None


def is_misread(kind: Any, value: Any) -> bool:
    """Return whether msgspec would read this value of a form or a query as another one.

    Where no text is allowed, it reads the word "null" as null, and 0 and 1 as false and true.
    """
    return _is_misread(_type_info(kind), value)


def _is_misread(kind: inspect.Type, value: Any) -> bool:
    plain, word = {type(item) for item in _plain_types(kind)}, str(value).lower()
    if inspect.StrType in plain or value is None:
        return False
    misread_null = inspect.NoneType in plain and word == "null"
    return misread_null or (inspect.BoolType in plain and word not in ("true", "false"))


@cache
def _fields_with_words(kind: Any) -> dict[str, inspect.Type]:
    """Return the members that may be null, true or false."""
    info = _type_info(kind)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    words = {inspect.NoneType, inspect.BoolType}
    return {
        field.encode_name: field.type
        for field in fields
        if words & {type(item) for item in _plain_types(field.type)}
    }


@cache
def list_fields(kind: Any) -> frozenset[str]:
    """Return the members of a struct whose values are lists."""
    info = _type_info(kind)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    return frozenset(
        field.encode_name
        for field in fields
        if any(isinstance(item, inspect.ListType) for item in _plain_types(field.type))
    )


def refuse_number_as_text(kind: Any, steps: tuple[str, ...]) -> FieldProblem | None:
    """Return the fault of a text at this place if only numbers are allowed there, else None."""
    found = _type_at(_type_info(kind), steps)
    plain = _plain_types(found)
    if any(isinstance(item, inspect.StrType | inspect.AnyType) for item in plain):
        return None
    return FieldProblem(steps, "invalid", f"must be {describe_values(found)}")


def _plain_types(kind: inspect.Type) -> list[inspect.Type]:
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return [item.type if isinstance(item, inspect.Metadata) else item for item in kinds]


@cache
def _type_info(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _type_at(kind: inspect.Type, path: Iterable[str]) -> inspect.Type:
    for step in path:
        kind = _member_type(kind, step)
    return kind


def _member_type(kind: inspect.Type, step: str) -> inspect.Type:
    match kind:
        case inspect.Metadata():
            return _member_type(kind.type, step)
        case inspect.UnionType():
            types = [_member_type(item, step) for item in kind.types]
            known = (item for item in types if not isinstance(item, inspect.AnyType))
            return next(known, types[0])
        case inspect.StructType():
            fields = {field.encode_name: field.type for field in kind.fields}
            return fields.get(step, inspect.AnyType())
        case inspect.ListType() | inspect.VarTupleType():
            return kind.item_type
    return inspect.AnyType()


def _field_names(kind: inspect.Type) -> list[str]:
    match kind:
        case inspect.Metadata():
            return _field_names(kind.type)
        case inspect.StructType():
            return [field.encode_name for field in kind.fields]
    return []


def describe_values(kind: inspect.Type) -> str:
    """Describe the allowed values of a type; `words` among the extras of a `Meta` come first."""
    match kind:
        case inspect.Metadata():
            return str((kind.extra or {}).get("words", "{}")).format(describe_values(kind.type))
        case inspect.UnionType():
            return ", or ".join(describe_values(item) for item in kind.types)
        case inspect.LiteralType():
            return describe_choice(map(str, kind.values))
        case inspect.IntType() | inspect.FloatType():
            name = "a whole number" if isinstance(kind, inspect.IntType) else "a number"
            return name + _describe_range(kind)
        case inspect.StrType() | inspect.ListType() | inspect.VarTupleType():
            return _describe_length(kind)
    return _SIMPLE_DESCRIPTIONS.get(type(kind), "of another type")


_SIMPLE_DESCRIPTIONS: dict[type[inspect.Type], str] = {
    inspect.NoneType: "null",
    inspect.BoolType: "true or false",
    inspect.StructType: "an object",
    inspect.DateType: "a day, such as 2025-05-13",
    inspect.DateTimeType: "a time with its offset, such as 2025-05-13T10:22:06Z",
}


def describe_choice(words: Iterable[str]) -> str:
    """Return the description of a choice of a few words."""
    return f"one of {', '.join(words)}"


def _describe_range(kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge} to {kind.le}"
    bounds = {
        "at least": kind.ge,
        "greater than": kind.gt,
        "at most": kind.le,
        "less than": kind.lt,
    }
    parts = [f"{word} {bound}" for word, bound in bounds.items() if bound is not None]
    return " " + " and ".join(parts) if parts else ""


def _describe_length(kind: inspect.StrType | inspect.ListType | inspect.VarTupleType) -> str:
    is_text = isinstance(kind, inspect.StrType)
    name, unit = ("text", "characters") if is_text else ("a list", "items")
    match kind.min_length, kind.max_length:
        case None, None:
            return name
        case None, most:
            return f"{name} of at most {most} {unit}"
        case least, None:
            return f"{name} of at least {least} {unit}"
        case least, most:
            return f"{name} of {least} to {most} {unit}"
