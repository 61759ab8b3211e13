"""Test that the benchmarks write the same rows as the service, so that they compare like with like.

`icecream doctor` checks every total and every queue against the orders.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import history, pgbench
from tests.processes import Shop, until

pytestmark = [pytest.mark.only("postgres"), pytest.mark.needs("psql")]


@pytest.fixture
def shop(tmp_path: Path, empty_database: str) -> Iterator[Shop]:
    with Shop(tmp_path / "shop", empty_database) as shop:
        answer = shop.run("migrate")
        assert answer.returncode == 0, answer.stdout
        yield shop


def check(shop: Shop) -> None:
    answer = shop.run("doctor")
    assert answer.returncode == 0, answer.stdout


def test_a_history_has_no_findings(shop: Shop, empty_database: str) -> None:
    history.fill(empty_database, orders=2_000, mine=20, report=lambda step: None)
    check(shop)
    assert len(shop.books()["orders"]) == 2_000


def test_due_orders_are_paid_by_a_worker(shop: Shop, empty_database: str) -> None:
    for _ in range(2):
        history.add_due_orders(empty_database, 300, lambda step: None)
    check(shop)
    shop.begin("worker", ICECREAM_PAYMENT_DELAY="0")
    until(lambda: not shop.books()["jobs"], "all are settled")
    statuses = [order["status"] for order in shop.books()["orders"]]
    assert len(statuses) == 600
    assert "pending" not in statuses
    check(shop)


@pytest.mark.needs("pgbench")
def test_orders_of_pgbench_have_no_findings(shop: Shop, empty_database: str) -> None:
    assert pgbench.measure_rate(empty_database, "batch", 1, 1) > 0
    check(shop)
