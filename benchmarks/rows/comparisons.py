"""Rows that compare orders against other implementations, and against an earlier commit."""

import time
from collections.abc import Iterator
from functools import partial

from benchmarks import environments, peers, pgbench, services
from benchmarks.run import CONNECTIONS, MANY_CONNECTIONS, Run, at_least, at_most, rates
from benchmarks.table import TableLine


def before(run: Run) -> Iterator[TableLine]:
    """Compare one process against the commit before the work on performance."""
    run.report("installing the earlier commit")
    checkout, against = environments.earlier(), environments.EARLIER_COMMIT
    with services.ours() as our, services.ours(checkout=checkout) as earlier:
        ours, theirs = run.measure_in_turns(
            postgres=partial(our.orders, CONNECTIONS, run.seconds),
            postgres_before=partial(earlier.orders, CONNECTIONS, run.seconds),
        )
    yield TableLine("orders, PostgreSQL", at_least(1.8), rates(ours), against, rates(theirs))
    with (
        services.ours(embedded=True) as our,
        services.ours(embedded=True, checkout=checkout) as earlier,
    ):
        ours, theirs = run.measure_in_turns(
            sqlite=partial(our.orders, CONNECTIONS, run.seconds),
            sqlite_before=partial(earlier.orders, CONNECTIONS, run.seconds),
        )
    yield TableLine("orders, SQLite", at_least(1.4), rates(ours), against, rates(theirs))
    module = "benchmarks.ceiling"
    with (
        services.ours(module=module) as our,
        services.ours(module=module, checkout=checkout) as earlier,
    ):
        ours, theirs = run.measure_in_turns(
            ceiling=partial(our.orders, CONNECTIONS, run.seconds, path="/ceiling"),
            ceiling_before=partial(earlier.orders, CONNECTIONS, run.seconds, path="/ceiling"),
        )
    yield TableLine("ceiling", at_least(1.15), rates(ours), against, rates(theirs))


def original(run: Run) -> Iterator[TableLine]:
    """Compare two processes and a worker against the original at its best."""
    against = "original at its best"
    with services.ours(processes=2, workers=1) as our, peers.original() as peer:
        for connections, bound in ((CONNECTIONS, 13), (MANY_CONNECTIONS, 25)):
            ours, theirs = run.measure_in_turns(
                ours=partial(our.orders, connections, run.seconds),
                original=partial(peer.orders, connections, run.seconds),
            )
            measurement = f"orders, {connections} connections"
            yield TableLine(measurement, at_least(bound), rates(ours), against, rates(theirs))
            if connections == CONNECTIONS:
                late, theirs_late = ([load.p99 for load in loads] for loads in (ours, theirs))
                yield TableLine("p99 of that", at_most(0.1), late, against, theirs_late, unit="ms")


def embedded(run: Run) -> Iterator[TableLine]:
    """Compare one process with SQLite and its worker inside against the original as shipped."""
    against = "original as shipped, accepting"
    with peers.original(best=False) as peer:
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


def hot(run: Run) -> Iterator[TableLine]:
    """Compare orders of one flavor with counted stock against the same orders by pgbench."""
    with services.ours(processes=2, stock=True) as our, services.ours(stock=True) as their:
        scripts = {
            name: partial(pgbench.measure_rate, their.database, name, their.flavors[0], run.seconds)
            for name in pgbench.SCRIPTS
        }
        ours, *theirs = run.measure_in_turns(
            ours=lambda: our.orders(CONNECTIONS, run.seconds).rate, **scripts
        )
    for script, figures in zip(pgbench.SCRIPTS.values(), theirs, strict=True):
        yield TableLine("orders, hot flavor", at_least(script.bound), ours, script.label, figures)


def plain(run: Run) -> Iterator[TableLine]:
    """Compare one process against a plain service on the same stack."""
    with services.ours(stock=True) as our, peers.plain() as peer:
        ours, theirs = run.measure_in_turns(
            ours=partial(our.orders, CONNECTIONS, run.seconds),
            plain=partial(peer.orders, CONNECTIONS, run.seconds),
        )
    yield TableLine("orders, one process", at_least(6), rates(ours), "plain stack", rates(theirs))
