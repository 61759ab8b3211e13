"""The orders of one shop: a page of them, one with its names, and the same order again."""

from collections.abc import Iterable

from msgspec import Struct

from icecream import database, errors
from icecream.orders.http import responses
from icecream.pages import once
from icecream.shop.http import order_form
from icecream.tables import Flavor, Order, User

PAGE_SIZE = 20


class OwnOrders(Struct, frozen=True):
    """Some orders, newest first; `before` leads to the older ones, if there are any."""

    orders: list[responses.OrderView]
    before: int | None


async def list_orders(user: int, before: int | None) -> OwnOrders:
    """Return the newest orders of a shop, or those before an order."""
    query = Order.select(*responses.ORDER_COLUMNS).where(Order.user == user)
    if before is not None:
        query = query.where(Order.id < before)
    found = await responses.read_orders(query.limit(PAGE_SIZE + 1), [(Order.id, False)])
    orders = [order for order, _ in found]
    has_more = len(orders) > PAGE_SIZE
    return OwnOrders(orders[:PAGE_SIZE], orders[PAGE_SIZE - 1].id if has_more else None)


async def get_order(order: int, user: User) -> responses.OrderDetail:
    """Return an order of this account; staff have a page of their own for all orders.

    Raises:
        errors.NotFound: there is no such order, or it belongs to another account.
    """
    found = await responses.get_order(order, user=user)
    if found.user != user.id:
        raise errors.NotFound
    return found


async def flavor_names(ids: Iterable[int]) -> dict[int, str]:
    """Return the names of flavors, also of those that are no longer sold."""
    rows = await Flavor.select(Flavor.id, Flavor.name).where(database.is_any(Flavor.id, [*ids]))
    return {row["id"]: row["name"] for row in rows}


async def order_again(
    order: responses.OrderDetail, catalogue: order_form.Catalogue
) -> order_form.OrderForm:
    """Return a form with the quantities of an order, and what of it cannot be ordered now."""
    form = order_form.OrderForm(key=once.new_key(), note=order.note or "")
    names = await flavor_names(line.flavor for line in order.lines)
    for line in order.lines:
        if line.flavor in catalogue:
            form.quantities[line.flavor] = str(line.quantity)
        else:
            form.notices.append(f"{names[line.flavor]} is not on sale any more.")
    notices, form.notices = form.notices, []
    if form.quantities:
        await order_form.check(form, catalogue)
    form.notices = notices + form.notices
    return form
