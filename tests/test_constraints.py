"""Test that refusals of a value say in plain words which values are allowed."""

import re
from typing import Any, get_type_hints

import msgspec
import pytest
from msgspec import Struct, defstruct

from icecream import constraints, conversion, errors, fields, settings
from icecream.admin import forms, rules

# The database makes no difference here.
pytestmark = pytest.mark.only("sqlite")

FOR_PROGRAMS = re.compile(r"`|Expected|matching|regex|\^|\$|enum value|msgspec|of another type")
BAD: list[Any] = [
    None,
    True,
    1.5,
    0,
    -(10**30),
    10**30,
    "",
    "x",
    "\0",
    "x" * 20_000,
    [],
    {},
    [{}],
    [1] * 200,
    "2025-13-01",
]


def kinds() -> list[type[Struct]]:
    """Return every struct that input from outside is converted to."""
    subjects = [form.subject for form in forms.FORMS]
    return [*fields.Body.__subclasses__(), *subjects, rules.UserRules, rules.NewFlavorRules]


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
def test_a_refusal_of_every_field_names_the_allowed_values(kind: type[Struct]) -> None:
    for name, wanted in get_type_hints(kind, include_extras=True).items():
        if name not in kind.__struct_fields__:
            continue
        alone = defstruct("Alone", [(name, wanted)])
        said = set()
        for bad in BAD:
            try:
                msgspec.convert({name: bad}, alone, strict=False)
            except msgspec.ValidationError as error:
                said.add(constraints.explain_error(error, alone).sentence)
        assert said, (kind, name)
        for sentence in said:
            assert re.match(rf"({name}|an item of {name}|[a-z_]+) (must be|is) .+\.$", sentence)
            assert not FOR_PROGRAMS.search(sentence), sentence


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("word", ["null", "Null", "NULL"])
def test_the_word_null_is_never_read_as_an_absent_value(kind: type[Struct], word: str) -> None:
    """A template without a value sends it. It must not become a refund of all that is left."""
    for name, wanted in get_type_hints(kind, include_extras=True).items():
        if name in kind.__struct_fields__:
            alone = defstruct("Alone", [(name, wanted)])
            try:
                found = conversion.convert_body({name: word}, alone)
            except errors.ValidationFailed as refusal:
                assert refusal.detail.startswith(f"{name} must be ")
            else:
                assert getattr(found, name) == word


def test_a_refusal_of_every_setting_names_the_allowed_values() -> None:
    said = set()
    for name in settings.Settings.__struct_fields__:
        for bad in ("x", "-1", "1.5", "9" * 30, "x" * 5000, "2-1", "x y"):
            try:
                settings.parse_settings({f"ICECREAM_{name.upper()}": bad})
            except settings.BadSetting as error:
                said.add(str(error))
    assert "ICECREAM_PORT: set it to a whole number from 1 to 65535." in said
    assert "ICECREAM_PAYMENT_PROVIDER: set it to one of simulated, stripe." in said
    assert "ICECREAM_SWEEP: set it to a number from 0.01 to 86400." in said
    for line in said:
        assert not FOR_PROGRAMS.search(line), line
        assert "null" not in line
