"""Writes what the original has into our tables: all of it, or nothing.

An imported row is remembered by its id in the original, so that a second run imports only what is
new. Ids stay the same where that id was never given out here: clients may have stored them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime

import msgspec

from icecream import change_history, constraints, database, settings, states
from icecream.accounts import users
from icecream.catalogue import flavors
from icecream.catalogue.order_lines import Line
from icecream.django_import.new_ids import Ids, NewIds
from icecream.django_import.passwords import NO_PASSWORD, convert_hash
from icecream.django_import.report import ImportReport, Kind
from icecream.django_import.source import Source, SourceFlavor, SourceOrder, SourceUser
from icecream.feed import order_history
from icecream.orders import placing
from icecream.reporting import totals
from icecream.tables import MAX_QUANTITY, Flavor, ImportedRow, Order, OrderLine, StockMove, User

# The statuses of the original in which an order had come to its end.
ENDED_STATUSES = ("paid", "failed")
STOCK_REASON = "orders of the original service"
_INSERT_ORDERS = database.insert(
    Order,
    (Order.id, Order.user, Order.status, Order.currency, Order.created_at),
    computed=((Order.total, "0"), (Order.refunded, "0"), (Order.cancel_requested, "false")),
)
_INSERT_LINES = database.insert(
    OrderLine,
    (OrderLine.order, OrderLine.flavor, OrderLine.quantity),
    computed=((OrderLine.unit_price, "0"), (OrderLine.refunded, "0")),
)
_INSERT_IMPORTED = database.insert(
    ImportedRow, (ImportedRow.kind, ImportedRow.source, ImportedRow.row)
)


async def import_all(
    source: Source, *, place_pending: bool = False, on_orders: Callable[[int], None]
) -> ImportReport:
    """Import accounts, flavors and orders, in one transaction.

    Args:
        place_pending: place the orders that wait for a payment as new orders, which charges them.
        on_orders: called after each batch with its number of orders.

    Raises:
        ValueError: a name in the original is not possible here; nothing was imported.
    """

    async def work() -> ImportReport:
        run = _Import()
        await run.import_users(await source.read_users())
        await run.import_flavors(await source.read_flavors())
        _, largest = await source.count_orders()
        await run.begin_orders(largest)
        async for orders in source.read_orders():
            await run.import_orders(orders)
            on_orders(len(orders))
        if place_pending:
            await run.place_pending()
        return run.report

    return await database.transaction(work)


class _Import:
    """An import in progress, within its transaction."""

    def __init__(self) -> None:
        self.report = ImportReport()
        self._users: Ids = {}
        self._flavors: Ids = {}
        self._order_ids = NewIds("order")
        self._counted: set[int] = set()

    async def import_users(self, found: Sequence[SourceUser]) -> None:
        self._users = await self._known_ids("user", [user.id for user in found])
        rows = await User.select(User.id, User.username, User.email)
        by_name = {row["username"]: row["id"] for row in rows}
        emails = {row["email"] for row in rows}
        new = [user for user in found if user.id not in self._users]
        ids = NewIds("user")
        await ids.begin(max((user.id for user in new), default=0))
        for user in new:
            if user.username in by_name:
                self.report.existing.append(f"account {user.username}")
                await self._remember("user", user.id, by_name[user.username])
                continue
            email = user.email if user.email and user.email not in emails else None
            emails.add(email)
            await self._insert_user(user, (await ids.give([user.id]))[user.id], email)

    async def _insert_user(self, user: SourceUser, id_: int, email: str | None) -> None:
        users.require_possible_name(user.username)
        password = convert_hash(user.password)
        if password is None:
            self.report.without_password.append(user.username)
        values = {
            "username": user.username,
            "email": email,
            "active": user.is_active,
            "admin": user.is_staff or user.is_superuser,
            "superuser": user.is_superuser,
        }
        last_login = user.last_login.replace(tzinfo=None) if user.last_login else None
        secret = {"password": password or NO_PASSWORD, "last_login": last_login}
        await User.insert(User(id=id_, **values, **secret))
        given = {name: value for name, value in values.items() if value not in (None, False)}
        await change_history.record_changes("user", id_, {}, given, by=None)
        await self._remember("user", user.id, id_, is_new=True)

    async def import_flavors(self, found: Sequence[SourceFlavor]) -> None:
        self._flavors = await self._known_ids("flavor", [flavor.id for flavor in found])
        rows = await Flavor.select(Flavor.id, Flavor.name)
        by_name = {row["name"]: row["id"] for row in rows}
        new = [flavor for flavor in found if flavor.id not in self._flavors]
        ids = NewIds("flavor")
        await ids.begin(max((flavor.id for flavor in new), default=0))
        for flavor in new:
            name = _flavor_name(flavor)
            if name in by_name:
                self.report.existing.append(f"flavor {name}")
                await self._remember("flavor", flavor.id, by_name[name])
                continue
            id_ = (await ids.give([flavor.id]))[flavor.id]
            price = settings.load().default_price
            await Flavor.insert(Flavor(id=id_, name=name, price=price))
            by_name[name] = id_
            await change_history.record_changes(
                "flavor", id_, {}, {"name": name, "price": price}, by=None
            )
            await self._remember("flavor", flavor.id, id_, is_new=True)

    async def begin_orders(self, largest: int) -> None:
        """Prepare for orders up to this id of the original."""
        await self._order_ids.begin(largest)
        # Counting must not begin now: the stock is changed below only where it is counted.
        rows = await database.for_no_key_update(
            Flavor.select(Flavor.id, Flavor.stock).order_by(Flavor.id)
        )
        self._counted = {row["id"] for row in rows if row["stock"] is not None}

    async def import_orders(self, orders: Sequence[SourceOrder]) -> None:
        known = await self._known_ids("order", [order.id for order in orders])
        new = [order for order in orders if order.id not in known and self._is_possible(order)]
        await self._insert_orders([order for order in new if order.status in ENDED_STATUSES])
        self.report.pending += [order for order in new if order.status == "pending"]

    def _is_possible(self, order: SourceOrder) -> bool:
        reason = ""
        if not 1 <= order.quantity <= MAX_QUANTITY:
            reason = f"its quantity is {order.quantity}"
        elif order.status not in (*ENDED_STATUSES, "pending"):
            reason = f"its status is {order.status!r}"
        elif order.user not in self._users or order.flavor not in self._flavors:
            reason = "its account or its flavor does not exist"
        if reason:
            self.report.left_out.append((order.id, reason))
        return not reason

    async def _insert_orders(self, found: Sequence[SourceOrder]) -> None:
        if not found:
            return
        ids = await self._order_ids.give([order.id for order in found])
        currency, now = settings.load().currency, datetime.now(UTC)
        history, sales = [], []
        for order in found:
            id_, user = ids[order.id], self._users[order.user]
            line = Line(self._flavors[order.flavor], order.quantity, 0)
            sales.append(totals.Sale(user, order.created_at, order.status, [line]))
            history += _history(order, id_, user)
        await database.run_together(
            (
                _INSERT_ORDERS,
                [
                    (ids[one.id], self._users[one.user], one.status, currency, one.created_at)
                    for one in found
                ],
            ),
            (
                _INSERT_LINES,
                [(ids[one.id], self._flavors[one.flavor], one.quantity) for one in found],
            ),
            (_INSERT_IMPORTED, [("order", one.id, ids[one.id]) for one in found]),
            *order_history.event_inserts(history, at=now),
            *totals.update_statements(sales),
        )
        await self._keep_stock(found)
        self._count_new("order", ids)

    async def _keep_stock(self, found: Sequence[SourceOrder]) -> None:
        """Receive what these orders took: the stock here was counted after they were delivered."""
        taken = Counter[int]()
        for order in found:
            if order.status in states.LIVE_STATUSES:
                taken[self._flavors[order.flavor]] += order.quantity
        now = datetime.now(UTC)
        moves = [
            StockMove(flavor=flavor, quantity=quantity, why=STOCK_REASON, by=None, at=now)
            for flavor, quantity in sorted(taken.items())
            if flavor in self._counted
        ]
        if moves:
            await StockMove.insert(*moves)

    async def place_pending(self) -> None:
        """Place the pending orders now, at the prices of today; their payments start at once.

        They come last: their ids follow those of all imported orders.
        """
        pending, self.report.pending = self.report.pending, []
        if not pending:
            return
        methods = await _payment_methods({self._users[order.user] for order in pending})
        requests = []
        for order in pending:
            user, flavor = self._users[order.user], self._flavors[order.flavor]
            requests.append(
                placing.OrderRequest(user, {flavor: order.quantity}, method=methods.get(user))
            )
        results = await placing.place_orders(requests)
        for order, result in zip(pending, results, strict=True):
            if isinstance(result, placing.PlacedOrder):
                await self._remember("order", order.id, result.order)
                self.report.placed.append(result.order)
            else:
                self.report.left_out.append((order.id, f"it is pending, and refused: {result}"))

    async def _known_ids(self, kind: Kind, source_ids: Collection[int]) -> Ids:
        """Return the ids here of the rows that were imported before."""
        if not source_ids:
            return {}
        rows = await ImportedRow.select(ImportedRow.source, ImportedRow.row).where(
            ImportedRow.kind == kind, database.is_any(ImportedRow.source, sorted(source_ids))
        )
        self.report.known[kind] += len(rows)
        return {row["source"]: row["row"] for row in rows}

    async def _remember(
        self, kind: Kind, source_id: int, id_: int, *, is_new: bool = False
    ) -> None:
        await _INSERT_IMPORTED([(kind, source_id, id_)])
        if kind != "order":
            (self._users if kind == "user" else self._flavors)[source_id] = id_
        if is_new:
            self._count_new(kind, {source_id: id_})

    def _count_new(self, kind: Kind, ids: Ids) -> None:
        self.report.imported[kind] += len(ids)
        self.report.new_ids[kind] += sum(source_id != id_ for source_id, id_ in ids.items())


def _flavor_name(flavor: SourceFlavor) -> str:
    """Return the name as it would be stored here.

    Raises:
        ValueError: it is not possible here.
    """
    try:
        return msgspec.convert({"name": flavor.name}, flavors.NewFlavor).name
    except (msgspec.ValidationError, constraints.InvalidValue) as error:
        raise ValueError(
            f"the name of flavor {flavor.id} in the original is not possible here ({error}): "
            "change it there first."
        ) from None


def _history(order: SourceOrder, id_: int, user: int) -> list[order_history.OrderEvent]:
    details: order_history.Details = {"total": 0, "imported": order.id}
    placed = order_history.OrderEvent(id_, "placed", details, by=user, at=order.created_at)
    ended: order_history.Details = {"amount": 0} if order.status == "paid" else {"reason": None}
    return [placed, order_history.OrderEvent(id_, order.status, ended, at=order.created_at)]


async def _payment_methods(customers: Collection[int]) -> dict[int, str]:
    rows = await User.select(User.id, User.payment_method).where(
        database.is_any(User.id, sorted(customers))
    )
    return {row["id"]: row["payment_method"] for row in rows}
