"""A program with the typed Python client: it signs in, orders, reads pages and stats, and refunds.

`python tests/client_program.py ADDRESS PASSWORD` runs it with the client that Python finds.
"""

import sys
from urllib.parse import parse_qs, urlsplit

from icecream_client import AuthenticatedClient, Client
from icecream_client.api.flavors import add_flavor, edit_flavor
from icecream_client.api.orders import get_order, list_orders, place_order, refund_order
from icecream_client.api.signing_in import sign_in
from icecream_client.api.stats import sales_by_flavor
from icecream_client.models import (
    Credentials,
    FlavorEdit,
    FlavorView,
    NewFlavor,
    NewLine,
    NewOrder,
    NewRefund,
    OrderDetail,
    OrderPlaced,
    OrderStatus,
    OrderView,
    Problem,
    Report,
    TokenPair,
)
from icecream_client.types import UNSET, Unset


def run(address: str, password: str) -> None:
    """Call the service, and check each answer.

    Raises:
        AssertionError: an answer is not as expected.
    """
    with Client(address) as anyone:
        refused = sign_in.sync(client=anyone, body=Credentials("admin", "wrong"))
        assert isinstance(refused, Problem) and refused.code == "wrong-credentials", refused
        pair = sign_in.sync(client=anyone, body=Credentials("admin", password))
        assert isinstance(pair, TokenPair), pair

    with AuthenticatedClient(address, token=pair.access) as client:
        flavor = add_flavor.sync(client=client, body=NewFlavor("Pistachio", price=300, stock=9))
        assert isinstance(flavor, FlavorView) and flavor.stock == 9, flavor
        edited = edit_flavor.sync(flavor.id, client=client, body=FlavorEdit(price=310))
        assert isinstance(edited, FlavorView), edited
        # A member that is not set is not sent: null would stop counting the stock.
        assert (edited.price, edited.stock) == (310, 9)

        order = NewOrder(quantity=2, flavor=flavor.id, reference="PO-1")
        numbers = {_place(client, order, key="order-1") for _ in range(2)}
        (number,) = numbers
        others = [NewOrder(lines=[NewLine(quantity=1, flavor=flavor.id)]) for _ in range(2)]
        for other in others:
            _place(client, other)
        scarce = place_order.sync(client=client, body=NewOrder(quantity=9, flavor=flavor.id))
        assert isinstance(scarce, Problem) and scarce.code == "insufficient-stock", scarce

        assert [order.quantity for order in _pages(client)] == [2, 1, 1]
        report = sales_by_flavor.sync(client=client, status=OrderStatus.PAID)
        assert isinstance(report, Report) and report.totals.quantity >= 2, report
        totals = sales_by_flavor.sync(client=client)
        assert isinstance(totals, list) and totals[0].total_qty_ordered == 4, totals

        back = refund_order.sync(number, client=client, body=NewRefund("melted"))
        assert isinstance(back, OrderDetail), back
        found = get_order.sync(number, client=client)
        assert isinstance(found, OrderDetail) and found.reference == "PO-1", found
        assert found.status in (OrderStatus.REFUNDING, OrderStatus.REFUNDED)


def _place(client: AuthenticatedClient, order: NewOrder, key: str | Unset = UNSET) -> int:
    """Place an order, wait for its payment, and return its id."""
    placed = place_order.sync(client=client, body=order, idempotency_key=key, prefer="wait=20")
    assert isinstance(placed, OrderPlaced), placed
    return placed.order_id


def _pages(client: AuthenticatedClient) -> list[OrderView]:
    """Return all orders, in pages of two."""
    found: list[OrderView] = []
    after: str | Unset = UNSET
    while True:
        page = list_orders.sync_detailed(client=client, limit=2, after=after)
        assert isinstance(page.parsed, list), page
        found += page.parsed
        if "Link" not in page.headers:
            return found
        address, _, _ = page.headers["Link"].removeprefix("<").partition(">")
        (after,) = parse_qs(urlsplit(address).query)["after"]


if __name__ == "__main__":
    run(*sys.argv[1:])
