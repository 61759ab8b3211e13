"""Packing lists as JSON and CSV show them."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from icecream import fields
from icecream.catalogue import product_data
from icecream.fulfilment import packing_list
from icecream.fulfilment.packing_list import PackingList, PackingOrder
from icecream.reporting import csv_export
from icecream.tables import MAX_NOTE_LENGTH, MAX_REFERENCE_LENGTH

FLAVOR_COLUMNS = ("flavor", "name", "sku", "unit", "pack_size", "quantity", "packed", "orders")
ORDER_COLUMNS = (
    *("user", "customer", "order", "reference", "note", "fulfilment"),
    *("flavor", "name", "sku", "unit", "pack_size", "quantity"),
)
CSV_EXAMPLE = (
    ",".join(ORDER_COLUMNS) + "\r\n3,Harbour Kiosk,17,PO-1207,,packed,1,Vanilla,VAN-5,case,6,2\r\n"
)


class PackedFlavor(Struct):
    """The `quantity` of a flavor in all `orders` of the list, and what of it is packed already."""

    flavor: fields.Id
    name: fields.Name
    sku: product_data.Sku | None
    unit: product_data.Unit | None
    pack_size: product_data.PackSize | None
    quantity: fields.NonNegativeInt
    packed: fields.NonNegativeInt
    orders: fields.NonNegativeInt


class LineToPack(Struct):
    """The quantity of a flavor that an order still gets: without the refunded quantity."""

    flavor: fields.Id
    name: fields.Name
    quantity: fields.NonNegativeInt


class OrderToPack(Struct):
    """An order to pack and deliver."""

    order: fields.Id
    reference: Annotated[str, fields.shown_text(MAX_REFERENCE_LENGTH)] | None
    note: Annotated[str, fields.shown_text(MAX_NOTE_LENGTH)] | None
    fulfilment: fields.Fulfilment
    lines: list[LineToPack]


class CustomerToServe(Struct):
    """A customer and its orders."""

    user: fields.Id
    name: fields.Name
    orders: list[OrderToPack]


class PackingListView(Struct):
    """The paid orders of a day that are not delivered yet.

    `pending` is the number of orders whose payment has not ended; they are not on the list.
    `is_complete` is false if there are more orders than the first 10,000. `placed_from` is there if
    the list has the orders without a delivery date.
    """

    date: fields.Day | None
    is_complete: bool
    pending: fields.NonNegativeInt
    orders: fields.NonNegativeInt
    flavors: list[PackedFlavor]
    customers: list[CustomerToServe]
    placed_from: fields.Day | UnsetType = UNSET


LIST_EXAMPLE = {
    "date": "2025-05-16",
    "is_complete": True,
    "pending": 0,
    "orders": 1,
    "flavors": [
        {
            "flavor": 1,
            "name": "Vanilla",
            "sku": "VAN-5",
            "unit": "case",
            "pack_size": 6,
            "quantity": 2,
            "packed": 2,
            "orders": 1,
        }
    ],
    "customers": [
        {
            "user": 3,
            "name": "Harbour Kiosk",
            "orders": [
                {
                    "order": 17,
                    "reference": "PO-1207",
                    "note": "Please ring at the back door.",
                    "fulfilment": "packed",
                    "lines": [{"flavor": 1, "name": "Vanilla", "quantity": 2}],
                }
            ],
        }
    ],
}


def to_view(found: PackingList) -> PackingListView:
    """Return a packing list as the API shows it."""
    return PackingListView(
        date=found.day,
        placed_from=found.placed_from or UNSET,
        is_complete=found.is_complete,
        pending=found.pending,
        orders=found.orders,
        flavors=[_flavor_view(one) for one in found.flavors],
        customers=[
            CustomerToServe(one.user, one.name, [_order_view(order) for order in one.orders])
            for one in found.customers
        ],
    )


def _flavor_view(one: packing_list.FlavorQuantity) -> PackedFlavor:
    article = one.article
    return PackedFlavor(
        *(article.flavor, article.name, article.sku, article.unit, article.pack_size),
        *(one.quantity, one.packed, one.orders),
    )


def _order_view(order: PackingOrder) -> OrderToPack:
    lines = [LineToPack(one.article.flavor, one.article.name, one.quantity) for one in order.lines]
    return OrderToPack(order.id, order.reference, order.note, order.fulfilment, lines)


def flavors_to_csv(found: PackingList) -> str:
    """Return one row for each flavor."""
    rows = (_flavor_view(one) for one in found.flavors)
    return csv_export.to_csv(
        FLAVOR_COLUMNS, ([getattr(row, name) for name in FLAVOR_COLUMNS] for row in rows)
    )


def orders_to_csv(found: PackingList) -> str:
    """Return one row for each line of each order."""
    return csv_export.to_csv(ORDER_COLUMNS, _order_rows(found))


def _order_rows(found: PackingList) -> Iterator[list[object]]:
    for customer in found.customers:
        for order in customer.orders:
            for line in order.lines:
                of_order = (order.id, order.reference, order.note, order.fulfilment)
                one = line.article
                of_flavor = (one.flavor, one.name, one.sku, one.unit, one.pack_size)
                yield [customer.user, customer.name, *of_order, *of_flavor, line.quantity]
