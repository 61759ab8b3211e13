"""Test migrations from an empty database: forwards, backwards and several runs at once."""

import asyncio
import os
import tempfile
from pathlib import Path

import asyncpg
import pytest
from piccolo.apps.migrations.commands.base import BaseMigrationManager

from icecream import bootstrap, settings
from icecream.tables import APP_CONFIG
from tests import forks, servers
from tests.conftest import ADMIN_PASSWORD, PATIENCE, WHICH, Caller, place

pytestmark = pytest.mark.anyio
TOP = Path(__file__).parents[1]


@pytest.fixture
async def elsewhere(empty_database: str) -> dict[str, str]:
    """Return the environment of a command that uses its own empty database."""
    return dict(os.environ) | {"ICECREAM_DATABASE_URL": empty_database, "PYTHONPATH": str(TOP)}


async def run(environment: dict[str, str], *words: str) -> tuple[int, str]:
    """Run Python with these arguments; return the exit code and the output."""
    return await asyncio.to_thread(_run, environment, words)


def _run(environment: dict[str, str], words: tuple[str, ...]) -> tuple[int, str]:
    with tempfile.NamedTemporaryFile() as log:
        path = Path(log.name)
        code = forks.Fork(words, environment, TOP, path).wait(PATIENCE)
        return code, path.read_text()


async def test_several_migration_runners_at_once_are_safe(elsewhere: dict[str, str]) -> None:
    command = ("-m", "icecream", "migrate")
    answers = await asyncio.gather(*(run(elsewhere, *command) for _ in range(4)))
    assert [code for code, _ in answers] == [0, 0, 0, 0], answers
    printed = [output for _, output in answers if "first admin" in output]
    assert len(printed) == 1
    assert ADMIN_PASSWORD not in printed[0]


async def test_a_random_password_is_shown_once(elsewhere: dict[str, str]) -> None:
    del elsewhere["ICECREAM_ADMIN_PASSWORD"]
    _, first = await run(elsewhere, "-m", "icecream", "migrate")
    assert "shown only once" in first
    _, second = await run(elsewhere, "-m", "icecream", "migrate")
    assert second == "The database is up to date.\n"


@pytest.mark.only("postgres")
async def test_another_schema_may_have_a_table_called_migration(elsewhere: dict[str, str]) -> None:
    connection = await asyncpg.connect(elsewhere["ICECREAM_DATABASE_URL"])
    try:
        await connection.execute("CREATE SCHEMA other; CREATE TABLE other.migration (mine int)")
        code, output = await run(elsewhere, "-m", "icecream", "migrate")
        assert code == 0, output
        assert await connection.fetchval("SELECT count(*) FROM other.migration") == 0
        assert await connection.fetchval("SELECT count(*) FROM public.migration")
    finally:
        await connection.close()


ROUND_TRIP = """
import asyncio
from icecream import bootstrap, database
from icecream.tables import Flavor, User
async def main():
    async with database.open_pool():
        for _ in range(2):
            await bootstrap.migrate(print)
            assert await bootstrap.pending_migrations() == []
            assert await Flavor.select(Flavor.id, Flavor.name) == [{"id": 1, "name": "Vanilla"}]
            (admin,) = await User.objects()
            assert (admin.username, admin.active, admin.admin, admin.superuser) == (
                "admin", True, True, True)
            await bootstrap.migrate_to("all")
            assert await bootstrap.pending_migrations() == bootstrap.all_migrations()
        print("there and back again")
asyncio.run(main())
"""


NEWER = """
import asyncio
from piccolo.apps.migrations.tables import Migration
from icecream import database
async def main():
    async with database.open_pool():
        later = Migration(name="2099-01-01T00:00:00:000000", app_name="icecream")
        other = Migration(name="2099-02-02T00:00:00:000000", app_name="another application")
        await Migration.insert(later, other)
asyncio.run(main())
"""


async def test_migrations_are_applied_and_reverted(elsewhere: dict[str, str]) -> None:
    code, output = await run(elsewhere, "-c", ROUND_TRIP)
    assert (code, output.splitlines()[-1]) == (0, "there and back again"), output


COUNTED_LATER = """
import asyncio
from icecream import bootstrap, database
from icecream.integrity import doctor
from icecream.tables import CustomerDay, Flavor, Order, OrderLine, PaymentMethodOwner
from icecream.tables import RefreshToken, Session, TotalChange, User
from tests import history
TOKENS = (
    'INSERT INTO refresh_token (jti, family, "user", successor, expires_at) VALUES '
    "('old', 'f', 1, 'new', '2099-01-01 00:00:00+00:00'),"
    "('new', 'f', 1, NULL, '2099-01-01 00:00:00+00:00')"
)
# Two sessions with one plain token, which was possible.
SESSIONS = (
    "INSERT INTO sessions (token, user_id, expiry_date, max_expiry_date) VALUES "
    "('plain', 1, '2099-01-01 00:00:00', '2099-01-01 00:00:00'),"
    "('plain', 1, '2099-01-01 00:00:00', '2099-01-01 00:00:00')"
)
METHODS = {3: "cus_1/pm_o'1", 4: "pm_o'1", 5: "pm_card_visa", 6: "pm_card_visa", 7: "pm_2"}
async def main():
    async with database.open_pool():
        await bootstrap.migrate(print)
        await User.insert(User(username="shop", password="", active=True))
        for n, method in METHODS.items():
            await User.insert(User(username=f"{n}", password="", payment_method=method))
        for n, (price, stock) in enumerate(history.FLAVORS):
            await Flavor.insert(Flavor(name=f"flavor {n}", price=price))
        past = history.History(3, [1, 2], [2, 3, 4, 5], clerk=1)
        history.placing.datetime = history.Clock(past.chance)
        await past.go_on(150)
        before = await OrderLine.select().order_by(OrderLine.id)
        assert await TotalChange.exists() and not await CustomerDay.exists()
    async with database.open_pool():
        await bootstrap.migrate_to("2026-11-29T15:01:00:000000")
        rows = await CustomerDay.select(CustomerDay.orders)
        assert sum(row["orders"] for row in rows) == await Order.count()
        assert not await TotalChange.count()
    async with database.open_pool():
        await bootstrap.migrate_to("2026-11-25T01:40:00:000000")
        await database.DB.run_ddl(TOKENS)
        await database.DB.run_ddl(SESSIONS)
    async with database.open_pool():
        await bootstrap.migrate(print)
    async with database.open_pool():
        assert await doctor.find_violations() == {}
        after = await OrderLine.select().order_by(OrderLine.id)
        assert after == before
        assert any(0 < line["refunded"] < line["unit_price"] for line in after)
        assert await CustomerDay.exists()
        (new,) = await RefreshToken.select(RefreshToken.jti).where(RefreshToken.parent == "old")
        assert new == {"jti": "new"}
        assert not await Session.exists()
        owners = await PaymentMethodOwner.select(PaymentMethodOwner.method, PaymentMethodOwner.user)
        assert {row["method"]: row["user"] for row in owners} == {
            "cus_1": 3, "pm_o'1": 3, "pm_2": 7}
        rows = await User.select(User.id, User.payment_method).where(User.id >= 3)
        assert {row["id"]: row["payment_method"] for row in rows} == METHODS | {4: None}
        await past.go_on(50)
        assert await doctor.find_violations() == {}
        print("counted")
asyncio.run(main())
"""


async def test_a_migration_counts_existing_orders(elsewhere: dict[str, str]) -> None:
    code, output = await run(elsewhere, "-c", COUNTED_LATER)
    assert (code, output.splitlines()[-1]) == (0, "counted"), output


async def test_an_interrupted_migration_leaves_nothing_behind(elsewhere: dict[str, str]) -> None:
    dies = ROUND_TRIP.replace(
        "    async with database.open_pool():",
        "    import os\n"
        "    from icecream.runtime import passwords\n"
        "    passwords.hash_password = lambda password: os._exit(9)\n"
        "    async with database.open_pool():",
    )
    assert (await run(elsewhere, "-c", dies))[0] == 9
    code, output = await run(elsewhere, "-m", "icecream", "migrate")
    assert code == 0, output
    assert "first admin" in output


async def test_a_database_with_another_currency_prevents_the_start(
    monkeypatch: pytest.MonkeyPatch, customer: Caller, flavor: int
) -> None:

    await place(customer.user.id, {flavor: 1})
    dollars = settings.parse_settings(dict(os.environ) | {"ICECREAM_CURRENCY": "USD"})
    monkeypatch.setattr(settings, "load", lambda: dollars)
    with pytest.raises(bootstrap.NotReady, match="set it to EUR"):
        await bootstrap.check_database()


async def test_a_price_that_stripe_would_not_charge_prevents_the_start(
    elsewhere: dict[str, str],
) -> None:
    elsewhere |= {"ICECREAM_CURRENCY": "KWD", "ICECREAM_DEFAULT_PRICE": "1255"}
    code, output = await run(elsewhere, "-m", "icecream", "migrate")
    assert code == 0, output
    stripe = {"ICECREAM_PAYMENT_PROVIDER": "stripe", "ICECREAM_STRIPE_API_KEY": "sk_test_1"}
    elsewhere |= {"ICECREAM_DEFAULT_PRICE": "1250", **stripe}
    code, output = await run(elsewhere, "-m", "icecream", "doctor")
    assert code == 1
    assert output.splitlines()[-1] == (
        "icecream: Stripe accepts only multiples of 10 minor units of KWD, but the price of Vanilla"
        " is none: change it before you set ICECREAM_PAYMENT_PROVIDER."
    )


async def test_the_ids_of_migrations_are_those_that_piccolo_finds() -> None:
    modules = BaseMigrationManager().get_migration_modules(
        APP_CONFIG.resolved_migrations_folder_path
    )
    assert bootstrap.all_migrations() == sorted(modules)


async def test_pending_migrations_prevent_the_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap, "all_migrations", lambda: ["2099-01-01T00:00:00:000000"])
    with pytest.raises(bootstrap.NotReady, match="icecream migrate"):
        await bootstrap.check_database()


@pytest.mark.parametrize("words", [["serve"], ["worker"], ["migrate"], ["doctor"]])
async def test_a_newer_database_is_refused(elsewhere: dict[str, str], words: list[str]) -> None:
    elsewhere["ICECREAM_PORT"] = str(servers.free_port())
    code, output = await run(elsewhere, "-m", "icecream", "migrate")
    assert code == 0, output
    code, output = await run(elsewhere, "-c", NEWER)
    assert code == 0, output
    code, output = await run(elsewhere, "-m", "icecream", *words)
    if words == ["worker"] and WHICH == "sqlite":
        assert "with SQLite" in output
    else:
        assert output.startswith("icecream: The database belongs to a newer version")
        assert "2099-01-01T00:00:00:000000" in output
    assert (code, len(output.splitlines())) == (1, 1)


@pytest.mark.only("sqlite")
async def test_a_common_password_of_the_first_admin_is_reported_with_its_setting(
    elsewhere: dict[str, str],
) -> None:
    elsewhere["ICECREAM_ADMIN_PASSWORD"] = "password"
    code, output = await run(elsewhere, "-m", "icecream", "migrate")
    assert code == 1
    assert output.startswith("icecream: ICECREAM_ADMIN_PASSWORD: ")
    assert len(output.splitlines()) == 1


@pytest.mark.only("postgres")
async def test_an_invalid_option_of_the_address_is_reported_with_its_setting(
    elsewhere: dict[str, str],
) -> None:
    elsewhere["ICECREAM_DATABASE_URL"] += "?sslmode=sometimes"
    code, output = await run(elsewhere, "-m", "icecream", "serve")
    assert code == 1
    assert output.startswith("icecream: cannot use the database (ICECREAM_DATABASE_URL): ")
    assert "sslmode" in output
    assert len(output.splitlines()) == 1
