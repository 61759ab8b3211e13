"""The measurements: each function is a row of `make bench` and yields one or more lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import httpx

from benchmarks import history, pgbench, services
from benchmarks.load import Load
from benchmarks.table import Goal, TableLine

T = TypeVar("T")
# The number of connections, unless a row uses another one.
CONNECTIONS = 64
# The pause between orders that are sent one by one.
PAUSE_SECONDS = 0.02
# Orders of another customer that cannot be paid, placed before the measured orders.
UNPAYABLE_ORDERS = 500


@dataclass(frozen=True)
class Run:
    """The number of rounds, their length, the size of the large database, and the snapshot time.

    `report` shows the progress.
    """

    rounds: int
    seconds: float
    orders: int
    snapshot_seconds: float
    report: Callable[[str], None]

    def measure_in_turns(self, **measurements: Callable[[], T]) -> list[list[T]]:
        """Measure everything in turns, once per round, so that a slow period affects all of it."""
        found: dict[str, list[T]] = {name: [] for name in measurements}
        for n in range(self.rounds):
            for name, measure in measurements.items():
                self.report(f"round {n + 1} of {self.rounds}, {name}")
                found[name].append(measure())
        return list(found.values())


def rates(loads: list[Load]) -> list[float]:
    """Return the answers per second."""
    return [load.rate for load in loads]


def at_least(bound: float, unit: str = "x") -> Goal:
    """Return a goal for figures that should be large."""
    return Goal(">=", bound, unit)


def at_most(bound: float, unit: str = "x") -> Goal:
    """Return a goal for figures that should be small."""
    return Goal("<=", bound, unit)


def original(run: Run) -> Iterator[TableLine]:
    """Compare two processes and a worker against the original at its best."""
    against = "original at its best"
    with services.ours(processes=2, workers=1) as our, services.original() as peer:
        for connections, bound in ((64, 10), (256, 15)):
            ours, theirs = run.measure_in_turns(
                ours=partial(our.orders, connections, run.seconds),
                original=partial(peer.orders, connections, run.seconds),
            )
            measurement = f"orders, {connections} connections"
            yield TableLine(measurement, at_least(bound), rates(ours), against, rates(theirs))
            if connections == CONNECTIONS:
                late, theirs_late = ([load.p99 for load in loads] for loads in (ours, theirs))
                yield TableLine("p99 of that", at_most(0.3), late, against, theirs_late, unit="ms")


def embedded(run: Run) -> Iterator[TableLine]:
    """Compare one process with SQLite and its worker inside against the original as shipped."""
    against = "original as shipped, accepting"
    with services.original(best=False) as peer:
        with services.ours(embedded=True) as our:
            ours, theirs = run.measure_in_turns(
                ours=partial(our.orders, CONNECTIONS, run.seconds),
                original=partial(peer.orders, CONNECTIONS, run.seconds),
            )
        yield TableLine("orders, SQLite", at_least(12), rates(ours), against, rates(theirs))
        settled, theirs_again = run.measure_in_turns(
            ours=partial(_settled, run.seconds),
            original=lambda: peer.orders(CONNECTIONS, run.seconds).rate,
        )
    yield TableLine("orders settled, SQLite", at_least(5), settled, against, theirs_again)


def _settled(seconds: float) -> float:
    """Return the settled orders per second, from the first order until all are settled."""
    with services.ours(embedded=True, delay="0") as our:
        began = time.monotonic()
        placed = our.orders(CONNECTIONS, seconds).all_responses
        our.wait_until_settled()
        return placed / (time.monotonic() - began)


def ceiling(run: Run) -> Iterator[TableLine]:
    """Compare one process without a worker against the same process when it writes nothing."""
    with services.ours(module="benchmarks.ceiling") as our:
        ours, empty = run.measure_in_turns(
            ours=partial(our.orders, CONNECTIONS, run.seconds),
            ceiling=partial(our.orders, CONNECTIONS, run.seconds, path="/ceiling"),
        )
    yield TableLine("orders, one process", at_least(0.5), rates(ours), "its ceiling", rates(empty))


def hot(run: Run) -> Iterator[TableLine]:
    """Compare orders of one flavor with counted stock against the same orders by pgbench."""
    with services.ours(processes=2, stock=True) as our, services.ours(stock=True) as their:
        peers = {
            name: partial(pgbench.measure_rate, their.database, name, their.flavors[0], run.seconds)
            for name in pgbench.SCRIPTS
        }
        ours, *theirs = run.measure_in_turns(
            ours=lambda: our.orders(CONNECTIONS, run.seconds).rate, **peers
        )
    for script, figures in zip(pgbench.SCRIPTS.values(), theirs, strict=True):
        yield TableLine("orders, hot flavor", at_least(script.bound), ours, script.label, figures)


def even(run: Run) -> Iterator[TableLine]:
    """Compare orders for one flavor against orders for twenty flavors in turn."""
    with services.ours(processes=2, stock=True, flavors=21) as our:
        first, *others = our.flavors
        ours, theirs = run.measure_in_turns(
            hot=partial(our.orders, CONNECTIONS, run.seconds, flavors=[first]),
            even=partial(our.orders, CONNECTIONS, run.seconds, flavors=others),
        )
        yield TableLine(
            "orders, hot flavor", at_least(0.9), rates(ours), "20 flavors", rates(theirs)
        )


def plain(run: Run) -> Iterator[TableLine]:
    """Compare one process against a plain service on the same stack."""
    with services.ours(stock=True) as our, services.plain() as peer:
        ours, theirs = run.measure_in_turns(
            ours=partial(our.orders, CONNECTIONS, run.seconds),
            plain=partial(peer.orders, CONNECTIONS, run.seconds),
        )
        yield TableLine(
            "orders, one process", at_least(6), rates(ours), "plain stack", rates(theirs)
        )


def scaling(run: Run) -> Iterator[TableLine]:
    """Compare two processes against one, and four against two."""
    with (
        services.ours() as one,
        services.ours(processes=2) as two,
        services.ours(processes=4) as four,
    ):
        found = run.measure_in_turns(
            one=lambda: one.orders(CONNECTIONS, run.seconds).rate,
            two=lambda: two.orders(CONNECTIONS, run.seconds).rate,
            four=lambda: four.orders(CONNECTIONS, run.seconds).rate,
        )
        yield TableLine("orders, 2 processes", at_least(1), found[1], "1 process", found[0])
        yield TableLine("orders, 4 processes", at_least(1), found[2], "2 processes", found[1])


def lone(run: Run) -> Iterator[TableLine]:
    """Compare one connection, where a batch is one order, against a server without batches."""
    with services.ours() as our, services.ours(module="benchmarks.unbatched") as peer:
        ours, theirs = run.measure_in_turns(
            ours=lambda: our.orders(1, run.seconds).p50,
            unbatched=lambda: peer.orders(1, run.seconds).p50,
        )
        yield TableLine("p50, 1 connection", at_most(1.2), ours, "unbatched", theirs, unit="ms")


def reads(run: Run) -> Iterator[TableLine]:
    """Compare reads against an authenticated GET that answers at once."""
    with services.ours(module="benchmarks.ceiling") as our:
        for _ in range(100):
            our.call("POST", "/api/orders/", {"flavor": 1, "quantity": 1})
        paths = {"flavors": "/api/flavors/", "own": "/api/orders/", "stats": "/api/stats/"}
        labels = {"flavors": "flavors", "own": "own orders (100)", "stats": "stats"}
        empty, *found = run.measure_in_turns(
            ceiling=partial(our.get, "/ceiling", CONNECTIONS, run.seconds),
            **{
                name: partial(our.get, path, CONNECTIONS, run.seconds)
                for name, path in paths.items()
            },
        )
        for name, loads in zip(paths, found, strict=True):
            yield TableLine(labels[name], at_least(0.7), rates(loads), "GET ceiling", rates(empty))


def large(run: Run) -> Iterator[TableLine]:
    """Compare a database with very many orders against one that has 10,000."""
    with _filled(run, 10_000) as small, _filled(run, run.orders) as our:
        size = f"{run.orders:,} orders"
        ours, theirs = run.measure_in_turns(
            large=partial(our.get, "/api/stats/", 1, run.seconds),
            small=partial(small.get, "/api/stats/", 1, run.seconds),
        )
        p50, peer = ([load.p50 for load in loads] for loads in (ours, theirs))
        yield TableLine(f"stats, {size}", at_most(1.5), p50, "10,000 orders", peer, unit="ms")
        yield TableLine(f"stats, {size}", at_most(10, "ms"), p50, unit="ms")
        ours, theirs = run.measure_in_turns(
            large=partial(our.get, "/api/orders/?limit=50", 1, run.seconds),
            small=partial(small.get, "/api/orders/?limit=50", 1, run.seconds),
        )
        p50, peer = ([load.p50 for load in loads] for loads in (ours, theirs))
        yield TableLine(f"page of 50, {size}", at_most(1.5), p50, "10,000 orders", peer, unit="ms")
        (loads,) = run.measure_in_turns(large=partial(our.get, "/api/dashboard/", 1, run.seconds))
        p50 = [load.p50 for load in loads]
        yield TableLine(f"dashboard, {size}", at_most(50, "ms"), p50, unit="ms")
        (grown,) = run.measure_in_turns(large=lambda: _growth(our))
        yield TableLine(
            f"memory for a list of {run.orders // 100:,}", at_most(10, "MB"), grown, unit="MB"
        )


@contextmanager
def _filled(run: Run, orders: int) -> Iterator[services.Service]:
    """Yield a service with so many orders; one in a hundred is the caller's."""
    fill = partial(history.fill, orders=orders, mine=orders // 100, report=run.report)
    with services.ours(fill=fill) as service:
        yield service


def _growth(service: services.Service) -> float:
    """Return the MB by which the process grows while it streams the caller's whole list."""
    before = peak = service.memory()
    address = f"{service.address}/api/orders/"
    with httpx.stream("GET", address, headers=service.headers, timeout=60) as answer:
        answer.raise_for_status()
        for _ in answer.iter_bytes(1_000_000):
            peak = max(peak, service.memory())
    return peak - before


def memory(run: Run) -> Iterator[TableLine]:
    """Measure the largest process under orders from 256 connections, at the end of each round."""

    def measure_memory(service: services.Service) -> float:
        service.orders(256, run.seconds)
        return service.memory()

    with services.ours(processes=2, workers=1) as our:
        (found,) = run.measure_in_turns(ours=partial(measure_memory, our))
        yield TableLine("memory of the largest process", at_most(150, "MB"), found, unit="MB")


def start(run: Run) -> Iterator[TableLine]:
    """Measure the time from the command to the first answer, on an existing database."""
    with services.ours() as our:

        def measure_start() -> float:
            our.stop()
            began = time.monotonic()
            our.start()
            our.wait_until_ready()
            return time.monotonic() - began

        (found,) = run.measure_in_turns(ours=measure_start)
        yield TableLine("start to the first answer", at_most(1.5, "s"), found, unit="s")


def pickup(run: Run) -> Iterator[TableLine]:
    """Measure the time from an order's creation to the lease of its payment by an idle worker."""
    late = """SELECT extract(epoch FROM percentile_cont(0.99) WITHIN GROUP
        (ORDER BY first_sent_at - created_at)) * 1000
        FROM payment JOIN orders ON orders.id = payment."order" WHERE first_sent_at IS NOT NULL"""
    body = {"flavor": 1, "quantity": 1}

    def measure_pickup() -> float:
        with services.ours(workers=1, delay="0") as our:
            end = time.monotonic() + run.seconds
            while time.monotonic() < end:
                our.call("POST", "/api/orders/", body)
                time.sleep(PAUSE_SECONDS)
            return float(services.psql(our.database, late))

    (found,) = run.measure_in_turns(ours=measure_pickup)
    yield TableLine("commit to pick-up, p99", at_most(50, "ms"), found, unit="ms")


def fair(run: Run) -> Iterator[TableLine]:
    """Measure how fast a customer's orders are paid while another one has 500 unpayable ones."""
    late = """SELECT extract(epoch FROM percentile_cont(0.99) WITHIN GROUP
        (ORDER BY event.at - created_at)) * 1000 FROM event JOIN orders ON orders.id = event."order"
        JOIN users ON users.id = orders."user" WHERE username = 'good' AND type = 'paid'"""
    body = {"flavor": 1, "quantity": 1}

    def measure_payment(others: str | None) -> float:
        with services.ours(workers=1, provider=True) as our:
            for name, method in (("bad", others), ("good", "pm_good")):
                our.add_customer(name)
                our.sign_in(name)
                our.call("PUT", "/api/payment-method/", {"reference": method or "pm_good"})
            if others:
                our.sign_in("bad")
                for _ in range(UNPAYABLE_ORDERS):
                    our.call("POST", "/api/orders/", body)
                our.sign_in("good")
            end = time.monotonic() + run.seconds
            while time.monotonic() < end:
                our.call("POST", "/api/orders/", body)
                time.sleep(PAUSE_SECONDS)
            our.wait_until_settled()
            return float(services.psql(our.database, late))

    refused, unanswered, alone = run.measure_in_turns(
        refused=partial(measure_payment, "pm_refused"),
        unanswered=partial(measure_payment, "pm_unanswered"),
        alone=partial(measure_payment, None),
    )
    for case, figures in (("refused", refused), ("unanswered", unanswered)):
        name = f"paid, p99, beside {UNPAYABLE_ORDERS} {case}"
        yield TableLine(name, at_most(1.2), figures, "without them", alone, unit="ms")


def settling(run: Run) -> Iterator[TableLine]:
    """Compare one worker with an immediate provider against acceptance and other workers."""
    with services.ours(delay="0") as our, services.original(worker=False, sleep=False) as peer:
        accepted = [our.orders(CONNECTIONS, 3 * run.seconds).rate]
        peer.orders(CONNECTIONS, 3 * run.seconds)
        our.start_process(*services.ICECREAM, "worker")
        ours = [our.measure_settled(run.seconds)]
        our.stop()
        services.begin_celery(peer)
        theirs = [peer.measure_settled(run.seconds)]
    yield TableLine("payments settled", at_least(0.5), ours, "orders accepted", accepted)
    yield TableLine("payments settled", at_least(5), ours, "original's worker", theirs)
    jobs = [services.procrastinate(run.seconds)]
    yield TableLine("payments settled", at_least(10), ours, "procrastinate's worker", jobs)


def held(run: Run) -> Iterator[TableLine]:
    """Measure while an idle transaction holds a snapshot, so that no dead row can be removed."""

    def measure(service: services.Service) -> tuple[float, float, float]:
        began = time.monotonic()
        placed = service.orders(CONNECTIONS, run.seconds)
        while service.count_pending():
            time.sleep(0.05)
        settled = placed.all_responses / (time.monotonic() - began)
        return placed.rate, settled, service.get("/api/stats/", CONNECTIONS, run.seconds).rate

    def order_and_settle(service: services.Service) -> None:
        # Sign in again, because the whole run takes longer than a token is valid.
        service.sign_in()
        service.orders(CONNECTIONS, min(5, run.snapshot_seconds))
        while service.count_pending():
            time.sleep(0.1)

    with services.ours(workers=1, delay="0") as our:
        order_and_settle(our)
        clean = measure(our)
        with services.snapshot(our.database):
            end = time.monotonic() + run.snapshot_seconds
            while time.monotonic() < end:
                run.report(f"holding the snapshot, {end - time.monotonic():.0f} s left")
                order_and_settle(our)
            dirty = measure(our)
    for figure, before, after in zip(("orders", "settled", "stats"), clean, dirty, strict=True):
        minutes = f"{run.snapshot_seconds / 60:g} min under a snapshot"
        yield TableLine(f"{figure}, {minutes}", at_least(0.8), [after], "before", [before])


ROWS: dict[str, Callable[[Run], Iterator[TableLine]]] = {
    row.__name__: row
    for row in (
        original,
        embedded,
        ceiling,
        hot,
        even,
        plain,
        scaling,
        lone,
        reads,
        large,
        memory,
        start,
        pickup,
        fair,
        settling,
        held,
    )
}
