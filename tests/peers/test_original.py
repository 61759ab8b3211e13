"""Test the import from a database that the original itself has written, with Django."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from benchmarks import environments
from tests.conftest import create_database
from tests.processes import Shop

# Only one of the two runs installs the original's packages. The tests of the import itself have an
# original with SQLite.
pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]
# Runs beside the original, in its environment.
FILL = """
import service
from django.utils import timezone
from datetime import timedelta
service.call_command("migrate", verbosity=0)
with service.connection.schema_editor() as editor:
    editor.create_model(service.Flavor)
    editor.create_model(service.Order)
boss = service.User.objects.create_superuser("boss", "boss@example.org", "vanilla-sky-42")
ada = service.User.objects.create_user("Ada", "ada@example.org", "correct horse")
service.User.objects.create_user("Kim", password=None)
flavors = [service.Flavor.objects.create(name=name) for name in ("Vanilla", "Choclate", "Mango")]
for n in range(30):
    order = service.Order.objects.create(user=ada, flavor=flavors[n % 3], quantity=n % 5)
    order.status = ("paid", "failed", "pending")[n % 3 if n < 6 else 0]
    order.created_at = timezone.now() - timedelta(days=n)
    order.save()
"""


@pytest.fixture
async def addresses(opened: None, tmp_path: Path) -> tuple[str, str]:
    """Return the address of our new database, and of a database that the original has filled."""
    environments.install(environments.ORIGINAL)
    ours, theirs = await create_database(tmp_path), await create_database(tmp_path)
    environment = os.environ | {
        "ORIGINAL_DATABASE": theirs,
        "ORIGINAL_REDIS": "memory://",
        "ORIGINAL_PREFIX": "",
        "PYTHONPATH": str(environments.ORIGINAL),
    }
    python = environments.ORIGINAL / ".venv/bin/python"
    await asyncio.to_thread(
        subprocess.run, [python, "-c", FILL], cwd=tmp_path, env=environment, check=True
    )
    return ours, theirs


def test_shops_go_on_with_their_passwords_ids_and_orders(
    addresses: tuple[str, str], tmp_path: Path
) -> None:
    ours, theirs = addresses
    with Shop(tmp_path, ours) as shop:
        shop.run("migrate")
        imported = shop.run("import-django", theirs)
        assert imported.returncode == 0, imported.stdout
        for line in (
            "3  accounts imported",
            "2  flavors imported",
            "23  orders imported",
            "flavor Vanilla",
            "Kim",
            ": 2 of flavor 3, for account 2",
            "its quantity is 0",
        ):
            assert line in imported.stdout, imported.stdout
        again = shop.run("import-django", theirs).stdout
        assert "0  orders imported, 23 imported before" in again
        assert shop.run("doctor").returncode == 0
        shop.serve()
        shop.sign_in("Ada", "correct horse")
        orders = shop.http.get("/api/orders/").json()
        assert len(orders) == 23
        assert [order["id"] for order in orders[:2]] == [2, 4]
        assert {order["status"] for order in orders} == {"paid", "failed"}
        names = {flavor["id"]: flavor["name"] for flavor in shop.http.get("/api/flavors/").json()}
        assert names == {1: "Vanilla", 2: "Choclate", 3: "Mango"}
        assert shop.order() == 31
