"""Received values become a struct, or an exact refusal."""

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from icecream import constraints, errors

T = TypeVar("T")
_EXPONENT_PATTERN = re.compile(r"[-+]?[0-9.]+[eE][-+]?[0-9]+")


def convert_body(values: Any, kind: type[T]) -> T:
    """Convert the received values into a struct; numbers may be text.

    Raises:
        errors.ValidationFailed: a value is not valid; the error points at the member.
    """
    struct: Any = kind
    # A refund of "null" is a mistake; it must not mean a refund of the remaining amount.
    if isinstance(values, dict) and (misread := constraints.find_misread_field(struct, values)):
        raise _as_failure(misread)
    for steps in _find_exponents(values):
        # msgspec would read the text "1e3" as the whole number 1000.
        if problem := constraints.refuse_number_as_text(struct, steps):
            raise _as_failure(problem)
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise to_validation_failure(error, kind) from None


def _find_exponents(values: Any, steps: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the places of texts such as "1e3"."""
    if isinstance(values, str):
        if _EXPONENT_PATTERN.fullmatch(values):
            yield steps
    elif isinstance(values, dict | list):
        items = values.items() if isinstance(values, dict) else enumerate(values)
        for step, value in items:
            if isinstance(value, str | dict | list):
                yield from _find_exponents(value, (*steps, str(step)))


def to_validation_failure(error: msgspec.ValidationError, kind: Any) -> errors.ValidationFailed:
    """Return the refusal for an error that msgspec found; it names the field."""
    return _as_failure(constraints.explain_error(error, kind))


def _as_failure(problem: constraints.FieldProblem) -> errors.ValidationFailed:
    pointer = errors.json_pointer(problem.steps)
    return errors.ValidationFailed(pointer, problem.code, problem.sentence)
