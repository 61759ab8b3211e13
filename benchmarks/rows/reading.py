"""Rows about reads, also from very large databases."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import httpx

from benchmarks import history, services
from benchmarks.run import CONNECTIONS, Run, at_least, at_most, rates
from benchmarks.service import PASSWORD, Service
from benchmarks.table import TableLine

# The path, the label and the bound of each read.
READS = {
    "flavors": ("/api/flavors/", "flavors", 0.75),
    "own": ("/api/orders/", "own orders (100)", 0.3),
    "stats": ("/api/stats/", "stats", 0.75),
}
ORDERS_BEHIND_PAGES = 1_000_000
# The label and the path of each page. The shop has nearly all of the orders.
PAGES = {
    "page of orders": "/staff/orders/",
    "search for a number": "/staff/orders/?search=500000",
    "search for a shop": "/staff/orders/?search=shop",
    "failed orders": "/staff/orders/?status=failed",
    "page of an order": "/staff/orders/500000/",
    "dashboard of 30 days": "/dashboard/?period=30d",
}


def reads(run: Run) -> Iterator[TableLine]:
    """Compare reads against an authenticated GET that answers at once."""
    with services.ours(module="benchmarks.ceiling") as our:
        for _ in range(100):
            our.call("POST", "/api/orders/", {"flavor": 1, "quantity": 1})
        empty, *found = run.measure_in_turns(
            ceiling=partial(our.get, "/ceiling", CONNECTIONS, run.seconds),
            **{
                name: partial(our.get, path, CONNECTIONS, run.seconds)
                for name, (path, _, _) in READS.items()
            },
        )
    for (_, label, bound), loads in zip(READS.values(), found, strict=True):
        yield TableLine(label, at_least(bound), rates(loads), "GET ceiling", rates(empty))


def large(run: Run) -> Iterator[TableLine]:
    """Compare a database with very many orders against one that has 10,000."""
    with filled(run, 10_000) as small, filled(run, run.orders) as our:
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


def pages(run: Run) -> Iterator[TableLine]:
    """Measure the pages of staff with a million orders, one request after the other."""
    with filled(run, ORDERS_BEHIND_PAGES) as our, _browser(our) as browser:
        found = run.measure_in_turns(
            **{
                label: partial(_median_time, browser, path, run.seconds)
                for label, path in PAGES.items()
            }
        )
    for label, p50 in zip(PAGES, found, strict=True):
        line = f"{label}, {ORDERS_BEHIND_PAGES:,} orders"
        yield TableLine(line, at_most(50, "ms"), p50, unit="ms")


@contextmanager
def _browser(service: Service) -> Iterator[httpx.Client]:
    """Yield a client that has signed in to the pages."""
    with httpx.Client(base_url=service.address, timeout=60) as client:
        client.post("/sign-in/", data={"username": "admin", "password": PASSWORD})
        yield client


def _median_time(browser: httpx.Client, path: str, seconds: float) -> float:
    """Return the median time of the requests for a page, in milliseconds."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while not times or time.monotonic() < end:
        began = time.perf_counter()
        answer = browser.get(path)
        times.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
    return median(times)


@contextmanager
def filled(run: Run, orders: int, delay: str = "0.5-2") -> Iterator[Service]:
    """Yield a service with so many settled orders; one in a hundred is the caller's."""
    fill = partial(history.fill, orders=orders, mine=orders // 100, report=run.report)
    with services.ours(fill=fill, delay=delay) as service:
        yield service


def _growth(service: Service) -> float:
    """Return the MB by which the process grows while it streams the caller's whole list."""
    before = peak = service.memory()
    address = f"{service.address}/api/orders/"
    with httpx.stream("GET", address, headers=service.headers, timeout=60) as answer:
        answer.raise_for_status()
        for _ in answer.iter_bytes(1_000_000):
            peak = max(peak, service.memory())
    return peak - before
