"""Test that statements read few blocks in one process, whatever is known about their tables.

Real processes run on databases that log each plan with the blocks that it read: a database without
orders, one that was never analyzed, one with statistics, and two with many dead rows that a
snapshot keeps. One of these was vacuumed, so its statistics say that few jobs are in a large table.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import ADMIN_PASSWORD
from tests.peers import databases
from tests.processes import Shop, stop, until

DEBIAN = "Debian's PostgreSQL"
pytestmark = [pytest.mark.only("postgres"), pytest.mark.needs(DEBIAN)]
LOG_PLANS = {
    "session_preload_libraries": "auto_explain",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_buffers": "on",
    "auto_explain.log_timing": "off",
    "auto_explain.log_format": "json",
    "log_line_prefix": "%d|%a|",
    # Otherwise the server would collect statistics and remove dead rows.
    "autovacuum": "off",
    "fsync": "off",
    # The planner prefers parallel plans wherever they are allowed.
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
    "min_parallel_table_scan_size": "0",
    "min_parallel_index_scan_size": "0",
}
ENTRY = re.compile(r"^(\w+)\|icecream (serve|worker)\|LOG: .* plan:\n((?:\t.*\n)+)", re.MULTILINE)
# Statements whose cost does not matter: the driver asks for the types of arrays once a connection,
# and a queue is searched from its start from time to time.
RARE = ("typeinfo_tree", "pg_current_snapshot")
# Searches of queues that skip the deleted rows at the start.
BOUNDED_SEARCHES = {
    ("serve", '"unpublished"."id" >='),
    ("serve", '"total_change"."id" >='),
    ("worker", '"total_change"."id" >='),
    ("worker", '"unpublished"."id" >='),
    ("worker", '"job"."run_at" >='),
}
ORDERS, DEAD_ROWS, NEW_ORDERS = 40_000, 40_000, 100
FLAVORS = """
    INSERT INTO flavor (name, description, price, archived, version)
        SELECT 'Flavor ' || n, '', 250, false, 1 FROM generate_series(1, 50) n"""
FILL = f"""
    INSERT INTO orders ("user", status, total, refunded, currency, cancel_requested, created_at,
            fulfilment)
        SELECT 1, 'paid', 500, 0, 'EUR', false, now() - interval '1 s' * ({ORDERS} - n),
            'delivered'
        FROM generate_series(1, {ORDERS}) n;
    INSERT INTO order_line ("order", flavor, quantity, unit_price, refunded)
        SELECT id, (id + n) % 50 + 1, 1, 250, 0 FROM orders, generate_series(0, 1) n;
    INSERT INTO payment ("order", kind, n, state, provider_key, provider_ref, amount, tries)
        SELECT id, 'charge', 1, 'succeeded', 'old-' || id, 'ref-' || id, 500, 1 FROM orders;
    INSERT INTO event ("order", seq, type, payload, at, position)
        SELECT id, seq, CASE seq WHEN 1 THEN 'placed' ELSE 'paid' END, '{{}}', created_at,
            2 * (id - 1) + seq FROM orders, generate_series(1, 2) seq ORDER BY id, seq;
    UPDATE feed SET last = 2 * {ORDERS};
    INSERT INTO flavor_total (flavor, status, quantity, orders, revenue, refunded)
        SELECT flavor, 'paid', count(*), count(*), 250 * count(*), 0
        FROM order_line GROUP BY flavor;
    INSERT INTO idempotency_key ("user", key, fingerprint, "order", status, answer, created_at)
        SELECT 1, 'key-' || id, repeat('0', 64), id, 200, '{{}}', created_at FROM orders;"""
# Rows that came and went while orders were placed, charged and published.
CHURN = f"""
    INSERT INTO job (kind, subject, run_at, tries, customer)
        SELECT 'charge', -n, now() - interval '1 minute', 0, 1
        FROM generate_series(1, {DEAD_ROWS}) n;
    UPDATE job SET tries = 1, run_at = run_at + interval '5 s' WHERE subject < 0;
    DELETE FROM job WHERE subject < 0;
    INSERT INTO unpublished (events) SELECT '[]' FROM generate_series(1, {DEAD_ROWS});
    DELETE FROM unpublished;
    INSERT INTO total_change (flavor, day, local_day, quarter, status, quantity, orders, revenue,
            refunded)
        SELECT n % 50 + 1, CURRENT_DATE, CURRENT_DATE, 1, 'paid', 1, 1, 1, 0
        FROM generate_series(1, {DEAD_ROWS}) n;
    DELETE FROM total_change;
    UPDATE payment SET state = 'sent' WHERE id <= {DEAD_ROWS};
    UPDATE payment SET state = 'succeeded' WHERE id <= {DEAD_ROWS};"""
FEW_JOBS = """
    INSERT INTO job (kind, subject, run_at, tries)
        SELECT 'charge', -n, now() + interval '1 day', 0 FROM generate_series(1, 5) n"""
# A statement reads at most this many blocks: for itself, and for each row that it finds or writes.
MAX_BLOCKS, MAX_BLOCKS_PER_ROW = 60, 40
# The same for one scan of a queue: the levels of an index, and versions of each row.
MAX_SCANNED_BLOCKS, MAX_SCANNED_BLOCKS_PER_ROW = 200, 10
INDEXES_OF_QUEUES = ("job_", "total_change_", "unpublished_")


class Plan(NamedTuple):
    """An executed statement: the blocks that it read, and the rows that it found or wrote.

    `wasteful_scans` describes the scans that read too many blocks. `is_parallel` is whether it
    started further processes of the server.
    """

    process: str
    text: str
    blocks: int
    rows: int
    wasteful_scans: list[str]
    is_parallel: bool

    @property
    def is_wasteful(self) -> bool:
        is_above_limit = self.blocks > MAX_BLOCKS + MAX_BLOCKS_PER_ROW * self.rows
        return is_above_limit or bool(self.wasteful_scans) or self.is_parallel

    def __str__(self) -> str:
        kind = "parallel, " if self.is_parallel else ""
        blocks = f"{self.blocks} blocks for {self.rows} rows"
        return f"{kind}{blocks}, {self.wasteful_scans}: {self.text}"


def executed_plans(log: str, name: str) -> Iterator[Plan]:
    """Yield the plans of our servers and workers in a database."""
    for database, process, text in ENTRY.findall(log):
        if database == name and not any(rare in text for rare in RARE):
            entry = json.loads(text)
            tree = entry["Plan"]
            scans = [text for scan in scans_of(tree) if (text := describe_waste(scan))]
            is_parallel = "Workers Launched" in text
            counts = blocks_of(tree), rows_of(tree)
            yield Plan(process, entry["Query Text"], *counts, scans, is_parallel)


def blocks_of(tree: dict[str, Any]) -> int:
    blocks: int = tree["Shared Hit Blocks"] + tree["Shared Read Blocks"]
    return blocks


def scans_of(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the scans of queues. The blocks of others may include other parts of the statement."""
    if tree.get("Index Name", "").startswith(INDEXES_OF_QUEUES):
        yield tree
    for child in tree.get("Plans", ()):
        yield from scans_of(child)


def describe_waste(scan: dict[str, Any]) -> str:
    """Describe a scan that reads too many blocks; empty for any other one."""
    blocks, rows = blocks_of(scan), scan["Actual Rows"] * scan["Actual Loops"]
    if blocks <= MAX_SCANNED_BLOCKS + MAX_SCANNED_BLOCKS_PER_ROW * rows:
        return ""
    condition = scan.get("Index Cond")
    return f"{blocks} blocks for {rows} rows of {scan['Index Name']} by {condition}"


def rows_of(tree: dict[str, Any], parent: str = "") -> int:
    """Return the rows of the result, of the statement's arguments, and of all changes."""
    counts = parent in ("", "ModifyTable") or tree["Node Type"] == "Function Scan"
    rows = round(tree["Actual Rows"] * tree["Actual Loops"]) if counts else 0
    return rows + sum(rows_of(child, tree["Node Type"]) for child in tree.get("Plans", ()))


@contextmanager
def held_snapshot(cluster: databases.Cluster, url: str) -> Iterator[None]:
    command = [cluster.programs / "psql", url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as session:
        assert session.stdin
        session.stdin.write(b"BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;\n")
        session.stdin.flush()
        query = "SELECT 1 FROM pg_stat_activity WHERE state = 'idle in transaction'"
        until(lambda: databases.ask(url, query), "the snapshot is taken")
        yield


def place(shop: Shop, number: int) -> str:
    """Place an order under a key, and return the path of the order."""
    lines = [{"flavor": 1 + n, "quantity": 1} for n in range(1 + number % 3)]
    key = {"Idempotency-Key": f'"new-{number}"'}
    answer = shop.http.post("/api/orders/", json={"lines": lines}, headers=key)
    assert answer.status_code == 200, answer.text
    return f"/api/orders/{answer.json()['order_id']}/"


def use(shop: Shop) -> None:
    """Do what shops and staff do all day."""
    with ThreadPoolExecutor(16) as pool:
        orders = list(pool.map(lambda number: place(shop, number), range(NEW_ORDERS)))
    assert place(shop, 0) == orders[0]
    # A list of a period reads all versions of the period's orders, and each paid order has two.
    begin = datetime.now(UTC)
    orders += [place(shop, NEW_ORDERS + number) for number in range(5)]
    for path in (
        *("/api/orders/?limit=100", "/api/orders/?status=paid&limit=20", orders[0]),
        # These orders are the last ones of the list.
        f"/api/orders/?limit=1&created_from={begin:%Y-%m-%dT%H:%M:%S.%fZ}",
        f"/api/orders/?limit=1&user=all&created_from={begin:%Y-%m-%dT%H:%M:%S.%fZ}",
        "/api/orders/?limit=1&user=all&fulfilment=unfulfilled",
        *("/api/flavors/", "/api/stats/", "/health/ready"),
    ):
        answer = shop.http.get(path)
        assert answer.status_code == 200, answer.text
    for order in orders:
        until(lambda: shop.http.get(order).json()["status"] != "pending", "the payment ends")  # noqa: B023


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[databases.Cluster]:
    """A server with two databases to copy: one without orders, and one with them."""
    options = [f"--{name}={value}" for name, value in LOG_PLANS.items()]
    folder = tmp_path_factory.mktemp("plans")
    with databases.postgres(DEBIAN, folder / "postgres", *options) as cluster:
        databases.ask(cluster.url, "CREATE DATABASE without_orders")
        with Shop(folder / "shop", url_of(cluster, "without_orders")) as shop:
            assert shop.run("migrate").returncode == 0
        run(cluster, "without_orders", FLAVORS)
        databases.ask(cluster.url, "CREATE DATABASE with_orders TEMPLATE without_orders")
        run(cluster, "with_orders", FILL)
        yield cluster


def url_of(cluster: databases.Cluster, name: str) -> str:
    return cluster.url.removesuffix("postgres") + name


def run(cluster: databases.Cluster, name: str, commands: str) -> None:
    cluster.run("psql", "--set=ON_ERROR_STOP=1", f"--command={commands}", url_of(cluster, name))


@pytest.mark.parametrize(
    "kind",
    ["new", "never_analyzed", "with_statistics", "with_dead_rows", "with_vacuumed_dead_rows"],
)
def test_statements_read_few_blocks(tmp_path: Path, cluster: databases.Cluster, kind: str) -> None:
    template = "without_orders" if kind == "new" else "with_orders"
    databases.ask(cluster.url, f"CREATE DATABASE {kind} TEMPLATE {template}")
    with ExitStack() as stack:
        shop = stack.enter_context(Shop(tmp_path, url_of(cluster, kind)))
        if kind == "with_statistics":
            run(cluster, kind, "ANALYZE")
        has_dead_rows = kind.endswith("dead_rows")
        if has_dead_rows:
            stack.enter_context(held_snapshot(cluster, url_of(cluster, kind)))
            run(cluster, kind, CHURN)
        if kind == "with_vacuumed_dead_rows":
            run(cluster, kind, FEW_JOBS)
            run(cluster, kind, "VACUUM ANALYZE")
        processes = shop.serve(), shop.worker()
        shop.sign_in("admin", ADMIN_PASSWORD)
        begin = 0
        if has_dead_rows:
            until(lambda: skips_deleted_rows(cluster, kind), "searches skip deleted rows")
            place(shop, -1)
            url, stored = url_of(cluster, kind), "SELECT start FROM total_progress"
            until(lambda: databases.ask(url, stored)[0]["start"] >= DEAD_ROWS, "reads skip them")
            begin = len(cluster.server.log.read_text())
        use(shop)
        stop(*processes)
    plans = list(executed_plans(cluster.server.log.read_text()[begin:], kind))
    assert len(plans) > NEW_ORDERS / 10
    wasteful = {str(plan) for plan in plans if plan.is_wasteful}
    assert not wasteful, "\n".join(wasteful)


def skips_deleted_rows(cluster: databases.Cluster, name: str) -> bool:
    return all(
        any(
            plan.process == process and text in plan.text
            for plan in executed_plans(cluster.server.log.read_text(), name)
        )
        for process, text in BOUNDED_SEARCHES
    )
