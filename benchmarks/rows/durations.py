"""Rows that take long: a held snapshot, the first minutes of a database, and an hour."""

import time
from collections.abc import Iterator
from functools import partial

from benchmarks import databases, services
from benchmarks.run import CONNECTIONS, MANY_CONNECTIONS, Run, at_least, at_most
from benchmarks.service import Service
from benchmarks.table import TableLine

# A long measurement consists of parts: of one access token each, and three for each tenth.
PARTS = 30
COMPARED_PARTS = 3


def held(run: Run) -> Iterator[TableLine]:
    """Measure while an idle transaction holds a snapshot, so that no dead row can be removed."""

    def measure(service: Service) -> tuple[float, float, float]:
        # Sign in again, because the whole run takes longer than a token is valid.
        service.sign_in()
        began = time.monotonic()
        placed = service.orders(CONNECTIONS, run.seconds)
        _wait_until_settled(service)
        settled = placed.all_responses / (time.monotonic() - began)
        return placed.rate, settled, service.get("/api/stats/", CONNECTIONS, run.seconds).rate

    def order_and_settle(service: Service) -> None:
        service.sign_in()
        service.orders(CONNECTIONS, min(5, run.long_seconds))
        _wait_until_settled(service)

    with services.ours(workers=1, delay="0") as our:
        order_and_settle(our)
        (clean,) = run.measure_in_turns(before=partial(measure, our))
        with databases.snapshot(our.database):
            end = time.monotonic() + run.long_seconds
            while time.monotonic() < end:
                run.report(f"holding the snapshot, {end - time.monotonic():.0f} s left")
                order_and_settle(our)
            (dirty,) = run.measure_in_turns(under_snapshot=partial(measure, our))
    minutes = f"{run.long_seconds / 60:g} min under a snapshot"
    figures = zip(zip(*clean, strict=True), zip(*dirty, strict=True), strict=True)
    for figure, (before, after) in zip(("orders", "settled", "stats"), figures, strict=True):
        yield TableLine(f"{figure}, {minutes}", at_least(0.9), after, "before", before)


def _wait_until_settled(service: Service) -> None:
    while service.count_pending():
        time.sleep(0.05)


def young(run: Run) -> Iterator[TableLine]:
    """Order and settle in a new database: the last tenth against the first, and the backlog."""
    accepted, settled, backlog = list[float](), list[float](), list[float]()
    length = run.long_seconds / PARTS
    with services.ours(workers=1, delay="0") as our:
        count_settled = our.settled_counter()
        count, now = 0, time.monotonic()
        for n in range(PARTS):
            run.report(f"part {n + 1} of {PARTS}")
            our.sign_in()
            load = our.orders(CONNECTIONS, length, warmup=False)
            accepted.append(load.rate)
            before, began = count, now
            count, now = count_settled(), time.monotonic()
            settled.append((count - before) / (now - began))
            backlog.append(our.count_pending() / load.rate)
    first, last = slice(COMPARED_PARTS), slice(-COMPARED_PARTS, None)
    minutes = f"{run.long_seconds / 60:g} min"
    for name, figures in (("orders", accepted), ("settled", settled)):
        yield TableLine(
            f"{name}, last tenth of {minutes} of a new database",
            at_least(0.95),
            figures[last],
            "first tenth",
            figures[first],
        )
    yield TableLine(
        f"pending orders after {minutes}, in seconds of intake",
        at_most(5, "s"),
        backlog[last],
        unit="s",
    )


def hour(run: Run) -> Iterator[TableLine]:
    """Measure the memory of each process under orders from 256 connections for an hour."""
    length = run.hour_seconds / 60
    with services.ours(processes=2, workers=1) as our:
        first = list[float]()
        end = time.monotonic() + run.hour_seconds
        while (left := end - time.monotonic()) > 0:
            run.report(f"{left / 60:.0f} min left")
            our.sign_in()
            our.orders(MANY_CONNECTIONS, max(2, length), warmup=False)
            memories = our.memories()
            first = first or memories
    names = ("largest API process", "worker")
    for name, last, begin in zip(names, memories, first, strict=True):
        yield TableLine(
            f"memory of the {name}, {run.hour_seconds / 60:g} min",
            at_most(110, "MB"),
            [last],
            unit="MB",
        )
        run.notes.append(f"`hour`: the {name} had {begin:.0f} MB at the beginning")
