"""Test that the doctor finds each broken rule, and only that rule."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from icecream import database
from icecream.database import DB
from icecream.feed import order_history
from icecream.integrity import doctor, repair
from icecream.orders import actions
from icecream.payments import leases, settlement
from icecream.payments.providers import Declined
from icecream.tables import SECONDS_PER_QUARTER, Event, Order
from tests.conftest import (
    Caller,
    apply_all,
    new_flavor,
    place,
    publish_all,
    settlement_result,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ids(customer: Caller) -> AsyncIterator[dict[str, Any]]:
    """Place a pending, a paid, a failed and a canceled order, and yield their ids.

    The last event of the pending order is not published.
    """
    flavor, other = [await new_flavor(price=100) for _ in range(2)]
    wanted = [{flavor: 1}, {flavor: 2}, {flavor: 3}, {flavor: 4, other: 1}]
    placed = [await place(customer.user.id, lines) for lines in wanted]
    acquired = await leases.acquire_leases(
        [one.payment for one in placed[1:] if one.payment], limit=3, lease_seconds=9
    )
    # They come in any order.
    acquired.sort(key=lambda lease: lease.payment)
    answers = (f"doctor {flavor}", Declined("no"), f"refunded {flavor}")
    for lease, answer in zip(acquired, answers, strict=True):
        await settlement.settle([settlement_result(lease, answer)])
    pending, paid, failed, canceled = placed
    refunds = await actions.cancel_order(canceled.order, by=customer.user.id)
    (lease,) = await leases.acquire_leases(refunds, limit=1, lease_seconds=9)
    await settlement.settle([settlement_result(lease, f"refund {flavor}")])
    await publish_all()
    await apply_all()
    noted = [order_history.OrderEvent(pending.order, "noted", {})]
    await database.transaction(lambda: order_history.record_events(noted, at=datetime.now(UTC)))
    positions = await Event.select(Event.position).where(Event.order == paid.order)
    day = f"CAST(day AS text) = '{datetime.now(UTC).date()}'"
    (order,) = await Order.select(Order.created_at).where(Order.id == paid.order)
    quarter = int(order["created_at"].timestamp()) // SECONDS_PER_QUARTER
    yield {
        "positions": sum(row["position"] for row in positions),
        "flavor_total": f"flavor = {flavor}",
        "flavor_day": f"flavor = {flavor} AND {day}",
        "customer_day": f'"user" = {customer.user.id} AND {day}',
        "day_total": day,
        "customer": customer.user.id,
        "quarter_total": f"quarter = {quarter}",
        "flavor": flavor,
        "other": other,
        "other_day": f"flavor = {other} AND {day}",
        "pending": pending.order,
        "open": pending.payment,
        "paid": paid.order,
        "charged": paid.payment,
        "failed": failed.order,
        "declined": failed.payment,
        "canceled": canceled.order,
        "refund": refunds[0],
    }


PAYMENTS = "totals of payments by day equal a recount"


class Undo(Exception):
    """Rolls back the transaction in which a test broke a rule."""


# Move an order of 2 items, 200 in total, from paid to refunding in all totals.
MOVED = [
    statement
    for table, key in (
        ("flavor_total", "flavor"),
        ("flavor_day", "flavor, day, local_day"),
        ("customer_day", '"user", day, local_day'),
        ("day_total", "day, local_day"),
        ("quarter_total", "quarter"),
    )
    for statement in (
        f"UPDATE {table} SET quantity = quantity - 2, orders = orders - 1, revenue = revenue - 200"
        f" WHERE status = 'paid' AND {{{table}}}",
        f"INSERT INTO {table} ({key}, status, quantity, orders, revenue, refunded)"
        f" SELECT {key}, 'refunding', 2, 1, 200, 0 FROM {table}"
        f" WHERE status = 'paid' AND {{{table}}} ON CONFLICT ({key}, status) DO UPDATE SET"
        f" quantity = {table}.quantity + 2, orders = {table}.orders + 1,"
        f" revenue = {table}.revenue + 200",
    )
]
BREAKS = {
    "a pending order has an open charge": [
        "UPDATE payment SET state = 'void' WHERE id = {open}",
        "DELETE FROM job WHERE subject = {open}",
    ],
    "an open payment has a job": ["DELETE FROM job WHERE subject = {open}"],
    "a job has an open payment": [
        "INSERT INTO job (kind, subject, run_at, tries) SELECT kind, {charged}, run_at, 0 FROM job"
        " WHERE subject = {open}"
    ],
    "a webhook event that was not applied has a job until it expires": [
        "INSERT INTO notice (provider, event, key, reference, received_at)"
        " VALUES ('simulated', 'lost', 'key', 'reference', CURRENT_TIMESTAMP)"
    ],
    "an open charge belongs to a pending order": [
        "UPDATE payment SET state = 'unknown' WHERE id = {declined}",
        "INSERT INTO job (kind, subject, run_at, tries) SELECT kind, {declined}, run_at, 0 FROM job"
        " WHERE subject = {open}",
    ],
    "a sent payment gets an answer within a day": [
        "UPDATE payment SET state = 'sent', first_sent_at = '2020-01-01 00:00:00+00:00'"
        " WHERE id = {open}"
    ],
    "a refunding order has an open refund": [
        "UPDATE orders SET status = 'refunding' WHERE id = {paid}",
        *MOVED,
    ],
    "an open refund belongs to an order that was paid": [
        'INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries)'
        " VALUES ({failed}, 'refund', 1, 'parked', 'nobody', 1, 0)"
    ],
    "the refunded amount of an order is the sum of its refunds": [
        'INSERT INTO payment ("order", kind, n, state, provider_key, amount, tries)'
        " VALUES ({paid}, 'refund', 1, 'succeeded', 'nobody', 1, 0)"
    ],
    "an order is not refunded more than it was charged": [
        "UPDATE payment SET amount = amount + 1 WHERE id = {refund}"
    ],
    "an order that was charged another amount is refunded completely": [
        "UPDATE payment SET moved = amount + 1 WHERE id = {charged}"
    ],
    "a refunded or canceled order has no money left": [
        "UPDATE payment SET moved = amount + 1 WHERE \"order\" = {canceled} AND kind = 'charge'"
    ],
    "a paid order was charged once, and no other order was charged": [
        "UPDATE payment SET state = 'succeeded' WHERE id = {declined}"
    ],
    "a charge is for the order's total": ["UPDATE payment SET amount = 1 WHERE id = {charged}"],
    "an order's total is the sum of its lines": [
        "UPDATE orders SET total = 1 WHERE id = {failed}",
        "UPDATE payment SET amount = 1 WHERE id = {declined}",
        "UPDATE day_total SET revenue = revenue - 299 WHERE status = 'failed' AND {day_total}",
        "UPDATE quarter_total SET revenue = revenue - 299 WHERE status = 'failed'"
        " AND {quarter_total}",
        "UPDATE customer_day SET revenue = revenue - 299 WHERE status = 'failed'"
        " AND {customer_day}",
    ],
    "an order is packed, delivered or returned only after its payment": [
        "UPDATE orders SET fulfilment = 'delivered' WHERE id = {failed}",
        "UPDATE event SET type = 'delivered', by = {customer}"
        " WHERE \"order\" = {failed} AND type = 'failed'",
    ],
    "the fulfilment of an order is the last step in its history": [
        "UPDATE orders SET fulfilment = 'packed' WHERE id = {paid}"
    ],
    "each step of a fulfilment names who made it": [
        "UPDATE event SET type = 'unfulfilled' WHERE \"order\" = {pending} AND type = 'noted'"
    ],
    "no more of a line is refunded, or put back, than was ordered": [
        "INSERT INTO refund_line (payment, line, quantity, restocked)"
        " SELECT {refund}, id, quantity + 1, false FROM order_line"
        ' WHERE "order" = {canceled} AND flavor = {flavor}'
    ],
    "an order whose goods were put back is not canceled too": [
        "INSERT INTO refund_line (payment, line, quantity, restocked)"
        ' SELECT {refund}, id, 1, true FROM order_line WHERE "order" = {canceled}'
    ],
    "a history has no gaps": ['UPDATE event SET seq = 9 WHERE "order" = {pending} AND seq = 2'],
    "the positions of events have no gaps": [
        "UPDATE event SET position = position + 1000 WHERE position ="
        " (SELECT max(position) FROM event)"
    ],
    "the feed has the right number of events with a position": ["UPDATE feed SET last = last + 1"],
    "the positions of an order's events are in order": [
        'UPDATE event SET position = -position WHERE "order" = {paid}',
        'UPDATE event SET position = {positions} + position WHERE "order" = {paid}',
    ],
    "webhooks are not queued beyond the feed": [
        "UPDATE webhook_progress SET position = 1000000000"
    ],
    "a webhook delivery is pending exactly if it is due at some time": [
        'INSERT INTO webhook_endpoint ("user", url, description, secret, created_at, start,'
        " next_round_at, lease, failures) SELECT \"user\", 'https://a.example/', '', 'whsec_', at,"
        ' 0, at, 0, 0 FROM event JOIN orders ON orders.id = event."order"'
        ' WHERE "order" = {pending} AND seq = 1',
        "INSERT INTO webhook_delivery (endpoint, message, type, body, state, created_at, due_at,"
        " tries) SELECT id, 'm', 't', 'b', 'failed', created_at, created_at, 0"
        " FROM webhook_endpoint WHERE url = 'https://a.example/'",
    ],
    "an event has a position or waits for one": [
        "DELETE FROM unpublished WHERE id = (SELECT max(id) FROM unpublished)"
    ],
    "counted stock equals receipts minus reservations": [
        "INSERT INTO stock_move (flavor, quantity, why, at)"
        " VALUES ({flavor}, 100, 'a test', CURRENT_TIMESTAMP)",
        "UPDATE flavor SET stock = 5 WHERE id = {flavor}",
    ],
    "the refunded amount of an order is the sum over its lines": [
        'UPDATE order_line SET refunded = refunded - 1 WHERE "order" = {canceled}'
        " AND flavor = {flavor}",
        "UPDATE flavor_total SET refunded = refunded - 1"
        " WHERE status = 'canceled' AND {flavor_total}",
        "UPDATE flavor_day SET refunded = refunded - 1 WHERE status = 'canceled' AND {flavor_day}",
    ],
    "totals by flavor equal a recount": [
        "UPDATE flavor_total SET orders = orders + 1 WHERE status = 'paid' AND {flavor_total}"
    ],
    "totals by flavor and day equal a recount": [
        "UPDATE flavor_day SET revenue = revenue + 1 WHERE status = 'pending' AND {flavor_day}"
    ],
    "totals by customer and day equal a recount": [
        "UPDATE customer_day SET refunded = refunded - 1"
        " WHERE status = 'canceled' AND {customer_day}"
    ],
    "totals by day equal a recount": ["UPDATE day_total SET quantity = quantity + 1"],
    "totals by quarter of an hour equal a recount": [
        "UPDATE quarter_total SET orders = orders + 1 WHERE status = 'paid' AND {quarter_total}"
    ],
    PAYMENTS: ["UPDATE payment SET state = 'void' WHERE id = {declined}"],
}
# Other ways to break some of the rules.
MORE = [
    (
        # The refund was declined, but the goods were put back with each of two refunds.
        "no more of a line is refunded, or put back, than was ordered",
        [
            "INSERT INTO refund_line (payment, line, quantity, restocked)"
            " SELECT {declined}, id, quantity + 1, true FROM order_line"
            ' WHERE "order" = {paid}',
        ],
    ),
    (
        # It was paid, and then canceled.
        "an order is packed, delivered or returned only after its payment",
        [
            "UPDATE orders SET fulfilment = 'delivered' WHERE id = {canceled}",
            "UPDATE event SET type = 'delivered', by = {customer}"
            " WHERE \"order\" = {canceled} AND type = 'canceled'",
        ],
    ),
    (
        # The history has a step that the order does not show.
        "the fulfilment of an order is the last step in its history",
        [
            "UPDATE event SET type = 'packed', by = {customer}"
            " WHERE \"order\" = {paid} AND type = 'paid'",
        ],
    ),
    (
        # The sum is right, but one line is refunded more than it cost.
        "the refunded amount of an order is the sum over its lines",
        [
            *BREAKS["the refunded amount of an order is the sum over its lines"],
            'UPDATE order_line SET refunded = refunded + 1 WHERE "order" = {canceled}'
            " AND flavor = {other}",
            "UPDATE flavor_total SET refunded = refunded + 1"
            " WHERE status = 'canceled' AND flavor = {other}",
            "UPDATE flavor_day SET refunded = refunded + 1"
            " WHERE status = 'canceled' AND {other_day}",
        ],
    ),
    (
        # The totals are of a day without orders.
        "totals by day equal a recount",
        [
            "INSERT INTO day_total (day, local_day, status, quantity, orders, revenue, refunded)"
            " VALUES ('2001-01-01', '2001-01-01', 'paid', 1, 1, 100, 0)"
        ],
    ),
    (
        # A day has orders but no totals.
        "totals by day equal a recount",
        ["DELETE FROM day_total WHERE {day_total}"],
    ),
]
if isinstance(DB, database.Postgres):
    BREAKS["the next id of each table is unused"] = [
        f"ALTER SEQUENCE {table}_id_seq RESTART" for table in ("orders", "event", "migration")
    ]


def test_every_rule_is_broken_here() -> None:
    assert list(BREAKS) == list(doctor.RULES)


async def test_a_sound_installation_is_found_sound(ids: dict[str, Any]) -> None:
    assert await doctor.find_violations() == {}


@pytest.mark.parametrize(("rule", "statements"), [*BREAKS.items(), *MORE])
async def test_each_violation_is_found_and_nothing_else(
    ids: dict[str, Any], rule: str, statements: list[str]
) -> None:
    with pytest.raises(Undo):
        async with DB.transaction():
            for statement in statements:
                await Order.raw(statement.format(**ids))
            if rule != PAYMENTS:
                # Some of them change payments.
                await repair.repair_rules([PAYMENTS])
            assert list(await doctor.find_violations()) == [rule]
            raise Undo
    assert await doctor.find_violations() == {}
