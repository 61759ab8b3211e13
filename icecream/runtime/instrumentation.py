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

from icecream import states

# The library reads the folder from here: if used, it is set before this module is imported.
METRICS_FOLDER = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
# An order takes some milliseconds, and a call to a provider takes up to its timeout.
DURATION_BUCKETS_SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
)
BATCH_SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100)
# A client may send any word as its method.
COUNTED_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
ATTEMPT_RESULTS = ("succeeded", "declined", "unknown", "later", "refused", "error", "parked")
WEBHOOK_RESULTS = ("accepted", "failed")
# Kinds of items that are processed one by one: if one fails, the others are still processed.
FAILURE_KINDS = ("finding", "notice", "task")
_held_slots: list[IO[str]] = []


def _acquire_slot(folder: Path) -> str:
    """Return a number that no other running process has.

    A new process takes over the number and the counts of a dead one, and continues them. So
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
            _held_slots.append(file)
            break
    return str(number)


if METRICS_FOLDER:
    slot = _acquire_slot(Path(METRICS_FOLDER))
    values.ValueClass = values.MultiProcessValue(lambda: slot)
# They would double the number of lines, to report the start time of this process.
disable_created_metrics()
_registry = CollectorRegistry()
_REQUEST_SECONDS = Histogram(
    "icecream_request_duration_seconds",
    "Duration of requests, from the request head to the end of the response.",
    ("method", "route", "status"),
    buckets=DURATION_BUCKETS_SECONDS,
    registry=_registry,
)
_ORDERS = Counter(
    "icecream_orders",
    "Requested orders, by outcome: placed, replayed, or the code of the refusal.",
    ("outcome",),
    registry=_registry,
)
_BATCH_SIZES = Histogram(
    "icecream_batch_size",
    "Orders or settled payments that were written in one transaction.",
    ("of",),
    buckets=BATCH_SIZE_BUCKETS,
    registry=_registry,
)
_BATCH_SECONDS = Histogram(
    "icecream_batch_duration_seconds",
    "Duration of such a transaction, from BEGIN to the end of COMMIT.",
    ("of",),
    buckets=DURATION_BUCKETS_SECONDS,
    registry=_registry,
)
_ATTEMPT_SECONDS = Histogram(
    "icecream_payment_attempt_duration_seconds",
    "Duration of attempts to move money at the provider, by result.",
    ("kind", "result"),
    buckets=DURATION_BUCKETS_SECONDS,
    registry=_registry,
)
_WEBHOOK_SECONDS = Histogram(
    "icecream_webhook_duration_seconds",
    "Duration of messages to webhook endpoints, by result: accepted or failed.",
    ("result",),
    buckets=DURATION_BUCKETS_SECONDS,
    registry=_registry,
)
_FAILURES = Counter(
    "icecream_failures",
    "Items that an internal error left unprocessed; the log has their ids and the traceback.",
    ("of",),
    registry=_registry,
)
# Counters used by alerts must start at 0: Prometheus does not treat a new series with value 1 as an
# increase.
for _outcome in ("placed", "replayed", "unavailable"):
    _ORDERS.labels(_outcome)
for _kind in states.PAYMENT_KINDS:
    for _result in ATTEMPT_RESULTS:
        _ATTEMPT_SECONDS.labels(_kind, _result)
for _result in WEBHOOK_RESULTS:
    _WEBHOOK_SECONDS.labels(_result)
for _failure in FAILURE_KINDS:
    _FAILURES.labels(_failure)


# The children of a metric by their label values; `labels` itself takes a lock.
_request_child = cache(_REQUEST_SECONDS.labels)
_order_child = cache(_ORDERS.labels)


def count_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a finished request; `route` is the template of its path, never the path itself."""
    _request_child(method if method in COUNTED_METHODS else "other", route, status).observe(seconds)


def count_orders(outcome: str, orders: int = 1) -> None:
    """Count orders that were placed or replayed, or that were refused with this code."""
    _order_child(outcome).inc(orders)


def count_batch(name: str, size: int, seconds: float) -> None:
    """Count items that were written in one transaction."""
    _BATCH_SIZES.labels(name).observe(size)
    _BATCH_SECONDS.labels(name).observe(seconds)


def count_attempt(kind: str, result: str, seconds: float) -> None:
    """Count an attempt to carry out a payment, by its result."""
    _ATTEMPT_SECONDS.labels(kind, result).observe(seconds)


def count_webhook(result: str, seconds: float) -> None:
    """Count a message that was sent to a webhook endpoint, by its result."""
    _WEBHOOK_SECONDS.labels(result).observe(seconds)


def count_failure(kind: str) -> None:
    """Count an item whose processing failed."""
    _FAILURES.labels(kind).inc()


def collect_metrics() -> Iterable[Metric]:
    """Return all metrics, from all processes that share a folder."""
    return (
        MultiProcessCollector(None, METRICS_FOLDER).collect()
        if METRICS_FOLDER
        else _registry.collect()
    )


def remove_folder() -> None:
    """Remove the folder; used when the process that created it was killed."""
    if METRICS_FOLDER:
        shutil.rmtree(METRICS_FOLDER, ignore_errors=True)
