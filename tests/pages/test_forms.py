"""Test that forms show the messages of the API with their own labels."""

import pytest

from icecream import errors
from icecream.pages import forms

LABELS = {"note": "The note", "on_sale_from": "On sale from", "on_sale_to": "On sale to"}


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("note must be text, or null.", "The note must be text."),
        (
            "on_sale_to must not be before on_sale_from.",
            "On sale to must not be before On sale from.",
        ),
        # Later in a sentence, a name of one word is a word like any other.
        ("on_sale_to needs a note.", "On sale to needs a note."),
        ("quantity must not be 0.", "Quantity must not be 0."),
    ],
)
def test_labels_replace_the_names_of_fields(detail: str, shown: str) -> None:
    assert forms.explain(detail, LABELS) == shown


def test_a_refusal_about_another_field_has_no_place_in_the_form() -> None:
    known = errors.ValidationFailed("/note", "invalid", "note must be text.")
    assert forms.field_problems(known, LABELS) == {"note": "The note must be text."}
    other = errors.ValidationFailed("/lines", "invalid", "lines must not be empty.")
    assert forms.field_problems(other, LABELS) == {}
    assert forms.field_problems(errors.AccountExists(), LABELS) == {}
