"""A program with the Python client of OpenAPI Generator: `generated_client.py ADDRESS PASSWORD`."""

import sys
from urllib.parse import parse_qs, urlsplit

import openapi_client as api


def run(address: str, password: str) -> None:
    """Sign in, order once, read pages of orders and the stats, and refund."""
    settings = api.Configuration(host=address)
    client = api.ApiClient(settings)
    try:
        api.SigningInApi(client).sign_in(api.Credentials(username="admin", password="wrong"))
    except api.ApiException as error:
        assert error.status == 401
    credentials = api.Credentials(username="admin", password=password)
    settings.access_token = api.SigningInApi(client).sign_in(credentials).access

    flavor = api.FlavorsApi(client).add_flavor(api.NewFlavor(name="Pistachio", price=300, stock=9))
    edited = api.FlavorsApi(client).edit_flavor(flavor.id, api.FlavorEdit(price=310))
    assert (edited.price, edited.stock) == (310, 9)

    orders = api.OrdersApi(client)
    order = api.NewOrder(quantity=2, flavor=flavor.id, reference="PO-1")
    first, again = (
        orders.place_order(order, idempotency_key="order-1", prefer="wait=20") for _ in range(2)
    )
    assert first.order_id == again.order_id
    line = api.NewLine(quantity=1, flavor=flavor.id)
    orders.place_order(api.NewOrder(lines=[line]))
    page = orders.list_orders_with_http_info(limit=1)
    after = parse_qs(urlsplit(page.headers["link"].split(">")[0]).query)["after"][0]
    found = [*page.data, *orders.list_orders(limit=1, after=after)]
    assert [order.quantity for order in found] == [2, 1]

    totals = api.StatsApi(client).sales_by_flavor().actual_instance
    assert totals[0].total_qty_ordered == 3, totals
    report = api.StatsApi(client).sales_by_flavor(status=api.OrderStatus.PAID).actual_instance
    assert report.totals.quantity >= 2, report

    refunded = orders.refund_order(first.order_id, api.NewRefund(reason="melted"))
    assert refunded.status in ("refunding", "refunded"), refunded


if __name__ == "__main__":
    run(*sys.argv[1:])
