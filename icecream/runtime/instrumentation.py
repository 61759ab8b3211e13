"""Counters for `/metrics`; the business code may call this module.

Each process counts its own events. Several processes of one command write their counts to files in
one folder. So any process can report for all, and the counts of an ended process are kept.
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

# The library reads the folder from here: if used, it is set before this module is imported.
FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
# In seconds: an order takes some milliseconds, and a provider up to its timeout.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 5, 10, 20, 50, 100)
# A client may send any word as its method.
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
# Kinds of items that are processed one by one: if one fails, the others are still processed.
FAILURES = ("finding", "notice", "task")
_seats: list[IO[str]] = []


def _seat(folder: Path) -> str:
    """Return a number that no other process has while this process lives.

    The next process takes over the number and the counts of a dead one, and continues them. So
    counters never decrease, and the number of files is the largest number of simultaneous
    processes.
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
# They would double the number of lines, to report the start time of this process.
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
# Counters used by alerts must start at 0: Prometheus does not treat a new series with value 1 as an
# increase.
for _outcome in ("placed", "replayed", "unavailable"):
    _ORDERS.labels(_outcome)
for _kind in KINDS:
    for _result in RESULTS:
        _ATTEMPTS.labels(_kind, _result)
for _of in FAILURES:
    _FAILURES.labels(_of)


# The children of a metric by their label values; `labels` itself takes a lock.
_request, _order = cache(_REQUESTS.labels), cache(_ORDERS.labels)


def answered(method: str, route: str, status: int, seconds: float) -> None:
    """Count a finished request; `route` is the template of its path, never the path itself."""
    _request(method if method in METHODS else "other", route, status).observe(seconds)


def ordered(outcome: str, orders: int = 1) -> None:
    """Count orders that were placed or replayed, or that were refused with this code."""
    _order(outcome).inc(orders)


def written(of: str, size: int, seconds: float) -> None:
    """Count items that were written in one transaction."""
    _BATCH_SIZES.labels(of).observe(size)
    _BATCH_SECONDS.labels(of).observe(seconds)


def attempted(kind: str, result: str, seconds: float) -> None:
    """Count an attempt to carry a payment out, with its result."""
    _ATTEMPTS.labels(kind, result).observe(seconds)


def failed(of: str) -> None:
    """Count an item whose processing failed."""
    _FAILURES.labels(of).inc()


def collect() -> Iterable[Metric]:
    """Return all metrics, from all processes that share a folder."""
    return MultiProcessCollector(None, FOLDER).collect() if FOLDER else _own.collect()


def forget() -> None:
    """Remove the folder; used when the process that created it was killed."""
    if FOLDER:
        shutil.rmtree(FOLDER, ignore_errors=True)
