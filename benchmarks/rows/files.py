"""The row `imported`: orders from a file, against the same orders one by one; and their export."""

import json
import time
from collections.abc import Iterator
from functools import partial
from itertools import count

import httpx

from benchmarks import services
from benchmarks.rows.reading import filled
from benchmarks.run import CONNECTIONS, Run, at_least, at_most
from benchmarks.service import Service
from benchmarks.table import TableLine

ORDERS_PER_FILE = 100_000
EXPORTED_ORDERS = 1_000_000
_files = count()


def imported(run: Run) -> Iterator[TableLine]:
    """Compare orders from a file against orders by HTTP, and export very many orders."""
    for name, embedded in (("PostgreSQL", False), ("SQLite", True)):
        with services.ours(embedded=embedded) as our:
            ours, theirs, one_by_one = run.measure_in_turns(
                imported=partial(_import_file, our),
                placed=partial(_place, our, CONNECTIONS, run.seconds),
                one_by_one=partial(_place, our, 1, run.seconds),
            )
        line = f"orders from a file, {name}"
        yield TableLine(line, at_least(2), ours, "one after the other by HTTP", one_by_one)
        yield TableLine(line, at_least(2), ours, f"{CONNECTIONS} connections", theirs)
    orders = min(run.orders, EXPORTED_ORDERS)
    with filled(run, orders) as our:
        (found,) = run.measure_in_turns(exported=partial(_export, our))
    speeds, grown = zip(*found, strict=True)
    yield TableLine(f"exported orders, {orders:,} orders", None, speeds)
    yield TableLine("memory for that", at_most(10, "MB"), grown, unit="MB")


def _place(service: Service, connections: int, seconds: float) -> float:
    """Return the orders per second that are placed by HTTP."""
    return service.orders(connections, seconds).rate


def _import_file(service: Service) -> float:
    """Return the imported orders per second."""
    name, file = service.call("GET", "/api/flavors/")[0]["name"], next(_files)
    text = "key,customer,flavor_name,quantity\n" + "".join(
        f"{file}-{n},admin,{name},1\n" for n in range(ORDERS_PER_FILE)
    )
    headers = service.headers | {"Content-Type": "text/csv"}
    address, began = f"{service.address}/api/import/orders", time.monotonic()
    answer = httpx.post(address, content=text, headers=headers, timeout=600)
    seconds = time.monotonic() - began
    last = json.loads(answer.raise_for_status().text.splitlines()[-1])
    if last["summary"]["created"] != ORDERS_PER_FILE:
        raise RuntimeError(f"the import ended with {last}")
    return ORDERS_PER_FILE / seconds


def _export(service: Service) -> tuple[float, float]:
    """Return the exported rows per second, and the MB by which the process grows."""
    before = peak = service.memory()
    rows, began = 0, time.monotonic()
    address = f"{service.address}/api/export/orders"
    with httpx.stream("GET", address, headers=service.headers, timeout=60) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes(1_000_000):
            rows += part.count(b"\n")
            peak = max(peak, service.memory())
    return (rows - 1) / (time.monotonic() - began), peak - before
