"""The pages of a shop: the catalogue with an order form, its own orders, its account."""

from icecream.pages import access
from icecream.shop.http import account, ordering, orders

router = access.router("/shop", [*ordering.HANDLERS, *orders.HANDLERS, *account.HANDLERS])
