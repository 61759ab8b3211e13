"""Test which endpoints take an Idempotency-Key (test_keys tests its effect)."""

import pytest

from icecream.app import litestar
from icecream.http import openapi

pytestmark = pytest.mark.only("sqlite")
# Operations that move money or stock, or create something.
TAKES_A_KEY = {
    "placeOrder",
    "cancelOrder",
    "payOrder",
    "refundOrder",
    "addFlavor",
    "receiveStock",
    "moveOrders",
    "retryPayment",
    "releasePayment",
    "refundPayment",
    "bookPayment",
}


def test_every_endpoint_that_moves_money_or_stock_takes_a_key() -> None:
    paths = openapi.expand(litestar().openapi_schema.to_schema())["paths"]
    taking = {
        operation["operationId"]
        for path in paths.values()
        for operation in path.values()
        if any(one["name"] == "Idempotency-Key" for one in operation.get("parameters", ()))
    }
    assert taking == TAKES_A_KEY
