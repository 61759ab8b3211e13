"""Rows about payments: their delay, fairness between customers, and the speed of a worker."""

import time
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import history, peers, services
from benchmarks.databases import psql
from benchmarks.run import CONNECTIONS, Run, at_least, at_most
from benchmarks.service import Service
from benchmarks.table import TableLine

# The pause between orders that are sent one by one.
PAUSE_SECONDS = 0.02
# Orders of another customer that cannot be paid, placed before the measured orders.
UNPAYABLE_ORDERS = 500
ONE_ORDER = {"flavor": 1, "quantity": 1}
# A worker settles all orders of a measurement, but at most for so many times its length.
MAX_SETTLING_FACTOR = 4
# The due jobs of an almost empty queue: for each second of a measurement, more than a worker
# settles.
DUE_PER_SECOND = 5_000


def pickup(run: Run) -> Iterator[TableLine]:
    """Measure the time from an order's creation to the lease of its payment by an idle worker."""
    late = """SELECT extract(epoch FROM percentile_cont(0.99) WITHIN GROUP
        (ORDER BY first_sent_at - created_at)) * 1000
        FROM payment JOIN orders ON orders.id = payment."order" WHERE first_sent_at IS NOT NULL"""

    def measure_pickup() -> float:
        with services.ours(workers=1, delay="0") as our:
            _place_one_by_one(our, run.seconds)
            return float(psql(our.database, late))

    (found,) = run.measure_in_turns(ours=measure_pickup)
    yield TableLine("commit to pick-up, p99", at_most(50, "ms"), found, unit="ms")


def _place_one_by_one(service: Service, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        service.call("POST", "/api/orders/", ONE_ORDER)
        time.sleep(PAUSE_SECONDS)


def fair(run: Run) -> Iterator[TableLine]:
    """Measure how fast a customer's orders are paid while another one has 500 unpayable ones."""
    late = """SELECT extract(epoch FROM percentile_cont(0.99) WITHIN GROUP
        (ORDER BY event.at - created_at)) * 1000 FROM event JOIN orders ON orders.id = event."order"
        JOIN users ON users.id = orders."user" WHERE username = 'good' AND type = 'paid'"""

    def measure_payment(others: str | None) -> float:
        with services.ours(workers=1, provider=True) as our:
            for name, method in (("bad", others), ("good", "pm_good")):
                our.add_customer(name)
                our.sign_in(name)
                our.call("PUT", "/api/payment-method/", {"reference": method or "pm_unused"})
            if others:
                our.sign_in("bad")
                for _ in range(UNPAYABLE_ORDERS):
                    our.call("POST", "/api/orders/", ONE_ORDER)
                our.sign_in("good")
            _place_one_by_one(our, run.seconds)
            our.wait_until_settled()
            return float(psql(our.database, late))

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
    longest = MAX_SETTLING_FACTOR * run.seconds
    with services.ours(delay="0") as our, peers.original(worker=False, sleep=False) as peer:
        accepted, ours, _, theirs, jobs = run.measure_in_turns(
            accepting=lambda: our.orders(CONNECTIONS, run.seconds).rate,
            settling=partial(measure_worker, our, longest),
            original_accepting=lambda: peer.orders(CONNECTIONS, run.seconds).rate,
            original=partial(measure_worker, peer, run.seconds),
            procrastinate=partial(peers.procrastinate, run.seconds),
        )
    yield TableLine("payments settled", at_least(1), ours, "orders accepted", accepted)
    yield TableLine("payments settled", at_least(6), ours, "original's worker", theirs)
    yield TableLine("payments settled", at_least(8), ours, "procrastinate's worker", jobs)


def measure_worker(service: Service, seconds: float) -> float:
    """Return the orders that a worker settles per second, if it runs only for this measurement."""
    return with_worker(service, lambda begin: service.measure_settled(begin, seconds))


def with_worker(service: Service, measure: Callable[[Callable[[], object]], float]) -> float:
    """Return a figure of a worker, which the measurement begins and which is stopped after it."""
    begun = len(service.processes)
    try:
        return measure(service.start_worker)
    finally:
        for worker in service.processes[begun:]:
            service.stop_process(worker)


def queued(run: Run) -> Iterator[TableLine]:
    """Compare a worker with very many due jobs against a worker whose queue was empty before."""
    fill = partial(history.add_due_orders, orders=run.jobs, report=run.report)

    def measure_empty(service: Service) -> float:
        due = int(DUE_PER_SECOND * run.seconds)
        history.add_due_orders(service.database, due, run.report)
        rate = measure_worker(service, run.seconds)
        _settle_all(service)
        return rate

    with services.ours(delay="0") as empty, services.ours(delay="0", fill=fill) as full:
        ours, theirs = run.measure_in_turns(
            full=partial(measure_worker, full, run.seconds), empty=partial(measure_empty, empty)
        )
    measurement = f"payments settled, {run.jobs:,} jobs due"
    yield TableLine(measurement, at_least(0.9), ours, "an empty queue", theirs)


def _settle_all(service: Service) -> None:
    worker = service.start_worker()
    while service.count_pending():
        time.sleep(0.1)
    service.stop_process(worker)
