"""What is counted as it happens, for `/metrics`; rules may call this.

Each process counts for itself. Several processes of one command count in files of one folder, so
that any of them can tell for all, and what a process counted stays when it is gone.
"""

import fcntl
import os
import shutil
from collections.abc import Iterable
from functools import cache
from itertools import count
from pathlib import Path
from typing import IO

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    disable_created_metrics,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

# Where the library looks for the folder: set before this is imported, if at all.
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
# Seconds: an order takes some milliseconds, a provider may take as long as it is given.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 5, 10, 20, 50, 100)
# A client may send any word at all as its method.
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
KINDS, RESULTS = (
    ("charge", "refund"),
    (
        "succeeded",
        "declined",
        "unknown",
        "later",
        "refused",
        "error",
        "parked",
    ),
)
# One item of several that were done one by one: the others were done.
FAILURES = ("finding", "notice", "task")
_seats: list[IO[str]] = []


def _seat(folder: Path) -> str:
    """A number that no other process has, for as long as this one lives.

    The next process takes over what a dead one counted, and goes on from there: so counters never
    fall, and there are no more files than there were processes at a time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for number in count():
        file = (folder / f"{number}.seat").open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            _seats.append(file)
            break
    return str(number)


if FOLDER:
    seat = _seat(Path(FOLDER))
    values.ValueClass = values.MultiProcessValue(lambda: seat)
# Twice the lines, to say when this process began.
disable_created_metrics()
_own = CollectorRegistry()
_REQUESTS = Histogram(
    "icecream_request_duration_seconds",
    "Requests, from their head to the end of the answer.",
    ("method", "route", "status"),
    buckets=SECONDS,
    registry=_own,
)
_ORDERS = Counter(
    "icecream_orders",
    "Orders that were asked for: placed, replayed, or why not.",
    ("outcome",),
    registry=_own,
)
_BATCH_SIZES = Histogram(
    "icecream_batch_size",
    "Orders, or ended payments, that were written in one transaction.",
    ("of",),
    buckets=SIZES,
    registry=_own,
)
_BATCH_SECONDS = Histogram(
    "icecream_batch_duration_seconds",
    "Such transactions, from BEGIN to the end of COMMIT.",
    ("of",),
    buckets=SECONDS,
    registry=_own,
)
_ATTEMPTS = Histogram(
    "icecream_payment_attempt_duration_seconds",
    "Attempts to move money: how long the provider took, and what came of it.",
    ("kind", "result"),
    buckets=SECONDS,
    registry=_own,
)
_FAILURES = Counter(
    "icecream_failures",
    "What was left as it is because of a fault of ours; the log has its number and the traceback.",
    ("of",),
    registry=_own,
)
# What an alert waits for begins at 0: Prometheus does not see a series begin at 1 as an increase.
for _outcome in ("placed", "replayed", "unavailable"):
    _ORDERS.labels(_outcome)
for _kind in KINDS:
    for _result in RESULTS:
        _ATTEMPTS.labels(_kind, _result)
for _of in FAILURES:
    _FAILURES.labels(_of)


# The children of a metric, found by what they are labeled with; `labels` itself takes a lock.
_request, _order = cache(_REQUESTS.labels), cache(_ORDERS.labels)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """A request came to its end; `route` is the template of its path, never the path."""
    _request(method if method in METHODS else "other", route, status).observe(seconds)


def ordered(outcome: str, orders: int = 1) -> None:
    """So many orders were placed or replayed, or were refused with this code."""
    _order(outcome).inc(orders)


def written(of: str, size: int, seconds: float) -> None:
    """So many were written in one transaction."""
    _BATCH_SIZES.labels(of).observe(size)
    _BATCH_SECONDS.labels(of).observe(seconds)


def attempted(kind: str, result: str, seconds: float) -> None:
    """A payment was asked for, and this came of it."""
    _ATTEMPTS.labels(kind, result).observe(seconds)


def failed(of: str) -> None:
    """Nothing could be done about one of these."""
    _FAILURES.labels(of).inc()


def collect() -> Iterable[Metric]:
    """All that was counted, by all processes that share a folder."""
    return MultiProcessCollector(None, FOLDER).collect() if FOLDER else _own.collect()


def forget() -> None:
    """Remove the folder: the process that made it was killed, and cannot."""
    if FOLDER:
        shutil.rmtree(FOLDER, ignore_errors=True)
