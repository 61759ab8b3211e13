"""Test the types of fields, and that a refused body names the field."""

from typing import Any

import pytest

from icecream import conversion, errors, fields
from icecream.accounts.http.signing_in import Credentials
from icecream.catalogue.flavors import NewFlavor, StockReceipt
from icecream.orders.http.requests import NewOrder
from icecream.payments.http.methods import NewMethod


@pytest.mark.parametrize(
    ("body", "kind", "pointer", "code", "detail"),
    [
        (
            {"quantity": "many", "flavor": 1},
            NewOrder,
            "/quantity",
            "invalid",
            "quantity must be a whole number from 1 to 100000.",
        ),
        (
            {"lines": [{"quantity": 0, "flavor": 1}]},
            NewOrder,
            "/lines/0/quantity",
            "invalid",
            "quantity must be a whole number from 1 to 100000.",
        ),
        ({"lines": [5]}, NewOrder, "/lines/0", "invalid", "an item of lines must be an object."),
        ({"lines": []}, NewOrder, "/lines", "invalid", "lines must be a list of 1 to 100 items."),
        (
            {"lines": [{"quantity": 1}]},
            NewOrder,
            "/lines/0/flavor",
            "invalid",
            "flavor is required, or sku instead.",
        ),
        (
            {"lines": [{"quantity": 1, "flavour": 1}]},
            NewOrder,
            "/lines/0/flavour",
            "unknown-field",
            "'flavour' is unknown (did you mean flavor?).",
        ),
        (
            {"quantity": 1},
            NewOrder,
            "/flavor",
            "invalid",
            "flavor is required, or sku or lines instead.",
        ),
        ([], NewOrder, "", "invalid", "the body must be an object."),
        ({"a.b": 1}, NewOrder, "/a.b", "unknown-field", "'a.b' is unknown."),
        ({"1": 1}, NewOrder, "/1", "unknown-field", "'1' is unknown."),
        (
            {"username": "a\nb", "password": "x"},
            Credentials,
            "/username",
            "invalid",
            "username must be text of 1 to 100 characters without control characters.",
        ),
        (
            {"name": "x", "stock": -1},
            NewFlavor,
            "/stock",
            "invalid",
            "stock must be a whole number from 0 to 1000000000000, or null.",
        ),
        (
            {"name": "\u2066 \u200d\u2069"},
            NewFlavor,
            "/name",
            "invalid",
            "name must have a visible character.",
        ),
        (
            {"quantity": 0, "reason": "x"},
            StockReceipt,
            "/quantity",
            "invalid",
            "quantity must not be 0.",
        ),
        (
            {"quantity": 1, "reason": " "},
            StockReceipt,
            "/reason",
            "invalid",
            "reason must have a visible character.",
        ),
        (
            {"quantity": 1, "reason": "\u200b\u202e"},
            StockReceipt,
            "/reason",
            "invalid",
            "reason must have a visible character.",
        ),
        (
            {"reference": "4242 4242 4242 4242"},
            NewMethod,
            "/reference",
            "invalid",
            "reference must be the provider's reference; this looks like a card number.",
        ),
    ],
)
def test_a_refusal_of_a_body_points_at_the_invalid_member(
    body: Any, kind: type[fields.Body], pointer: str, code: str, detail: str
) -> None:
    with pytest.raises(errors.ValidationFailed) as refusal:
        conversion.convert_body(body, kind)
    assert refusal.value.members["errors"] == [{"pointer": pointer, "code": code, "detail": detail}]


@pytest.mark.parametrize("text", ["a", "\u05d0\u200f", "\u200dé\u200d", "🍦", "\u0301"])
def test_a_text_with_one_visible_character_is_visible(text: str) -> None:
    assert fields.is_visible(text)


@pytest.mark.parametrize("text", ["", " ", "\u00a0\u2003", "\u200b\ufeff", "\u202e", "\u00ad"])
def test_a_text_without_a_visible_character_is_not_visible(text: str) -> None:
    assert not fields.is_visible(text)
