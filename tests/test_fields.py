"""Test the types of fields, and that a refused body names the field."""

from typing import Any

import pytest

from icecream import errors, fields
from icecream.accounts.http import Credentials
from icecream.catalogue.flavors import NewFlavor, StockReceipt
from icecream.http import bodies
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
            "missing",
            "flavor is required.",
        ),
        (
            {"lines": [{"quantity": 1, "flavour": 1}]},
            NewOrder,
            "/lines/0/flavour",
            "unknown-field",
            "'flavour' is unknown (did you mean flavor?).",
        ),
        ({"quantity": 1}, NewOrder, "/flavor", "invalid", "flavor is required, or lines instead."),
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
            "reason must not be only white space.",
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
        bodies.convert_body(body, kind)
    assert refusal.value.members["errors"] == [{"pointer": pointer, "code": code, "detail": detail}]
