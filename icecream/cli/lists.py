"""`icecream orders`, `payments`, `flavors` and `customers`: what the database holds."""

from typing import Any

import click
from msgspec.structs import asdict

from icecream import settings, states
from icecream.cli import output
from icecream.cli.commands import main, with_database

REPEATABLE = "Only these. Repeatable."
limit_option = click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=20,
    show_default=True,
    help="The number of lines.",
)


@main.command()
@click.option("--status", type=click.Choice(list(states.ORDER)), multiple=True, help=REPEATABLE)
@click.option("--user", "username", help="Only the orders of this account.")
@limit_option
@output.as_json_option
@with_database
async def orders(status: tuple[str, ...], username: str | None, limit: int, as_json: bool) -> None:
    """List orders, the newest first."""
    from icecream.accounts import users
    from icecream.tables import Order

    query = Order.select(
        Order.id,
        Order.created_at,
        Order.user.username.as_alias("username"),
        Order.status,
        Order.total,
        Order.refunded,
        Order.currency,
        Order.reference,
        Order.delivery_date,
    )
    if status:
        query = query.where(Order.status.is_in(list(status)))
    if username is not None:
        query = query.where(Order.user == await users.find_user_id(username))
    rows = await query.order_by(Order.id, ascending=False).limit(limit)
    columns = "id created_at username status total refunded currency reference delivery_date"
    output.print_rows(rows, columns.split(), as_json=as_json, amounts=("total", "refunded"))


@main.command()
@click.option("--state", type=click.Choice(list(states.PAYMENT)), multiple=True, help=REPEATABLE)
@limit_option
@output.as_json_option
@with_database
async def payments(state: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List payments, the newest first."""
    from icecream.tables import Payment

    query = Payment.select(
        Payment.id,
        Payment.order,
        Payment.kind,
        Payment.state,
        Payment.amount,
        Payment.moved,
        Payment.order.currency.as_alias("currency"),
        Payment.tries,
        Payment.first_sent_at,
        Payment.provider_ref,
        Payment.last_error,
    )
    if state:
        query = query.where(Payment.state.is_in(list(state)))
    rows = await query.order_by(Payment.id, ascending=False).limit(limit)
    columns = (
        "id order kind state amount moved currency tries first_sent_at provider_ref last_error"
    )
    output.print_rows(rows, columns.split(), as_json=as_json, amounts=("amount", "moved"))


@main.command()
@click.option("--archived", is_flag=True, help="Also those that are no longer sold.")
@limit_option
@output.as_json_option
@with_database
async def flavors(archived: bool, limit: int, as_json: bool) -> None:
    """List flavors with their price and stock."""
    from icecream.tables import Flavor

    query = Flavor.select(
        Flavor.id, Flavor.name, Flavor.sku, Flavor.price, Flavor.stock, Flavor.archived
    )
    if not archived:
        query = query.where(Flavor.archived.eq(False))
    rows = [_in_currency(row) for row in await query.order_by(Flavor.name).limit(limit)]
    columns = "id name sku price currency stock archived"
    output.print_rows(rows, columns.split(), as_json=as_json, amounts=("price",))


@main.command()
@limit_option
@output.as_json_option
@with_database
async def customers(limit: int, as_json: bool) -> None:
    """List customers with orders and revenue, newest first."""
    from icecream.reporting import sales
    from icecream.tables import User

    query = User.select(User.id, User.username, User.email, User.active)
    query = query.where(User.admin.eq(False)).order_by(User.id, ascending=False).limit(limit)
    accounts = await query
    figures = await sales.load_customers([row["id"] for row in accounts])
    nothing = sales.Figures(quantity=0, orders=0, revenue=0, refunds=0, failure_rate=None)
    rows = [_in_currency(row | asdict(figures.get(row["id"], nothing))) for row in accounts]
    columns = "id username email active orders revenue refunds currency"
    output.print_rows(rows, columns.split(), as_json=as_json, amounts=("revenue", "refunds"))


def _in_currency(row: dict[str, Any]) -> dict[str, Any]:
    return row | {"currency": settings.load().currency}
