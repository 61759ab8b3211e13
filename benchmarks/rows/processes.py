"""Rows about our own processes: their ceiling, several of them, one connection, memory, start."""

import time
from collections.abc import Iterator
from functools import partial
from operator import sub

from benchmarks import lock_waits, machine, services, slow_connections
from benchmarks.load import Load
from benchmarks.run import CONNECTIONS, MANY_CONNECTIONS, Run, at_least, at_most, rates
from benchmarks.service import Service
from benchmarks.table import TableLine

MAX_LOCK_WAITS_PERCENT = 2.0
SLOW_CONNECTIONS = 1000
FAR_CONNECTIONS = 2048
MIN_BUSY_PERCENT = 90.0


def ceiling(run: Run) -> Iterator[TableLine]:
    """Compare one process without a worker against the same process when it writes nothing."""
    with services.ours(module="benchmarks.ceiling") as our:
        ours, empty = run.measure_in_turns(
            ours=partial(our.orders, CONNECTIONS, run.seconds),
            ceiling=partial(our.orders, CONNECTIONS, run.seconds, path="/ceiling"),
        )
    yield TableLine("orders, one process", at_least(0.65), rates(ours), "its ceiling", rates(empty))


def even(run: Run) -> Iterator[TableLine]:
    """Compare orders for one flavor against orders for twenty flavors in turn."""
    with services.ours(processes=2, stock=True, flavors=21) as our:
        first, *others = our.flavors
        ours, theirs = run.measure_in_turns(
            hot=partial(our.orders, CONNECTIONS, run.seconds, flavors=[first]),
            even=partial(our.orders, CONNECTIONS, run.seconds, flavors=others),
        )
    yield TableLine("orders, hot flavor", at_least(0.9), rates(ours), "20 flavors", rates(theirs))


def scaling(run: Run) -> Iterator[TableLine]:
    """Compare two processes against one, and four against two; and look for waits for locks."""
    waits = list[lock_waits.LockWaits]()

    def measure_four(service: Service) -> float:
        with lock_waits.sampling(service.database) as found:
            rate = service.orders(MANY_CONNECTIONS, run.seconds).rate
        waits.append(found)
        return rate

    with (
        services.ours() as one,
        services.ours(processes=2) as two,
        services.ours(processes=4) as four,
    ):
        found = run.measure_in_turns(
            one=lambda: one.orders(CONNECTIONS, run.seconds).rate,
            two=lambda: two.orders(CONNECTIONS, run.seconds).rate,
            two_many=lambda: two.orders(MANY_CONNECTIONS, run.seconds).rate,
            four_many=partial(measure_four, four),
        )
    yield TableLine("orders, 2 processes", at_least(1), found[1], "1 process", found[0])
    many = f"{MANY_CONNECTIONS} connections"
    yield TableLine(f"orders, 4 processes, {many}", at_least(1), found[3], "2 processes", found[2])
    shares = [sampled.share for sampled in waits]
    goal = at_most(MAX_LOCK_WAITS_PERCENT, "%")
    yield TableLine("open transactions that wait for a lock, 4 processes", goal, shares, unit="%")
    if max(shares) > MAX_LOCK_WAITS_PERCENT:
        worst = max(waits, key=lambda sampled: sampled.share)
        run.notes.extend(f"`scaling`: {text}" for text in worst.describe())


def far(run: Run) -> Iterator[TableLine]:
    """Compare four processes against one with a database that is 25 ms away.

    256 connections wait for most of the time, so also measure whether eight times as many keep the
    processors busy.
    """
    busy = list[float]()

    def measure_busy(service: Service) -> Load:
        before = machine.processor_times()
        load = service.orders(FAR_CONNECTIONS, run.seconds)
        used, total = map(sub, machine.processor_times(), before)
        busy.append(100 * used / total)
        return load

    with services.ours(far=True) as one, services.ours(far=True, processes=4) as four:
        ours, theirs, _ = run.measure_in_turns(
            four=partial(four.orders, MANY_CONNECTIONS, run.seconds),
            one=partial(one.orders, MANY_CONNECTIONS, run.seconds),
            busy=partial(measure_busy, four),
        )
    measurement = "orders, 4 processes, database 25 ms away"
    yield TableLine(measurement, at_least(3.3), rates(ours), "1 process", rates(theirs))
    goal = at_least(MIN_BUSY_PERCENT, "%")
    name = f"busy processors, {FAR_CONNECTIONS:,} connections"
    yield TableLine(name, goal, busy, unit="%")


def lone(run: Run) -> Iterator[TableLine]:
    """Compare one connection, where a batch is one order, against a server without batches."""
    with services.ours() as our, services.ours(module="benchmarks.unbatched") as peer:
        ours, theirs = run.measure_in_turns(
            ours=lambda: our.orders(1, run.seconds).p50,
            unbatched=lambda: peer.orders(1, run.seconds).p50,
        )
    yield TableLine("p50, 1 connection", at_most(1.05), ours, "unbatched", theirs, unit="ms")


def slow(run: Run) -> Iterator[TableLine]:
    """Compare orders while 1,000 slow connections are held against orders without them."""
    with services.ours() as our:
        place = partial(our.orders, CONNECTIONS, run.seconds)

        def place_among_slow() -> Load:
            with slow_connections.holding(our.port, SLOW_CONNECTIONS):
                return place()

        ours, alone = run.measure_in_turns(slow=place_among_slow, alone=place)
    yield TableLine(
        f"p99 of orders beside {SLOW_CONNECTIONS:,} slow connections",
        at_most(2),
        [load.p99 for load in ours],
        "without them",
        [load.p99 for load in alone],
        unit="ms",
    )


def memory(run: Run) -> Iterator[TableLine]:
    """Measure the largest process under orders from 256 connections, at the end of each round."""

    def measure_memory(service: Service) -> float:
        service.orders(MANY_CONNECTIONS, run.seconds)
        return service.memory()

    with services.ours(processes=2, workers=1) as our:
        (found,) = run.measure_in_turns(ours=partial(measure_memory, our))
    yield TableLine("memory of the largest process", at_most(110, "MB"), found, unit="MB")


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
    yield TableLine("start to the first answer", at_most(0.8, "s"), found, unit="s")
