"""Test the way from a request to its route."""

import httpx
import pytest

from tests.conftest import Caller

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("path", ["/api/flavors", "/api/flavors/"])
async def test_a_slash_at_the_end_does_not_change_the_route(customer: Caller, path: str) -> None:
    assert (await customer.get(path)).status_code == 200


async def test_the_parameters_of_a_path_belong_to_their_request(
    customer: Caller, flavor: int
) -> None:
    body = {"flavor": flavor, "quantity": 1}
    orders = [await customer.post("/api/orders/", body) for _ in range(2)]
    for order in [order.json()["order_id"] for order in orders] * 2:
        assert (await customer.get(f"/api/orders/{order}/")).json()["id"] == order


async def test_unknown_paths_and_methods_are_refused(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        assert (await client.get("/nowhere")).status_code == 404
        assert (await client.delete("/api/orders/")).status_code == 405
