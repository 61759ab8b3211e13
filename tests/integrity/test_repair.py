"""Test that a repair recomputes what is derived from other data and changes nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from icecream.database import DB
from icecream.integrity import advice, doctor, repair
from icecream.tables import Job, Order, TotalChange
from tests.conftest import (
    Caller,
    Provider,
    carry_out,
    make_executor,
    new_flavor,
    payment_id,
    place,
    until,
)
from tests.integrity.test_doctor import BREAKS, Undo
from tests.integrity.test_doctor import ids as ids  # a fixture
from tests.processes import Shop

pytestmark = pytest.mark.anyio


def test_only_rules_of_the_doctor_are_repaired() -> None:
    assert repair.REPAIRS.keys() < doctor.RULES.keys()


@pytest.mark.parametrize("rule", BREAKS)
async def test_derived_data_is_recomputed_and_facts_do_not_change(
    ids: dict[str, Any], rule: str
) -> None:
    with pytest.raises(Undo):
        async with DB.transaction():
            for statement in BREAKS[rule]:
                await Order.raw(statement.format(**ids))
            await repair.repair_rules(await doctor.find_violations())
            assert list(await doctor.find_violations()) == (
                [] if repair.is_repairable(rule) else [rule]
            )
            raise Undo


@pytest.mark.only("postgres")
async def test_after_a_restore_without_its_sequences_rows_can_be_added_again(
    ids: dict[str, Any],
) -> None:
    (rule,) = doctor.SEQUENCE_RULES
    with pytest.raises(Undo):
        async with DB.transaction():
            await Order.raw("ALTER SEQUENCE flavor_id_seq RESTART")
            assert await doctor.find_violations() == {rule: [('"flavor"',)]}
            await repair.repair_rules([rule])
            assert await new_flavor() > ids["flavor"]
            raise Undo


async def test_a_repair_of_jobs_keeps_the_jobs_of_webhook_events(ids: dict[str, Any]) -> None:
    rules = (
        "a webhook event that was not applied has a job until it expires",
        "a job has an open payment",
    )
    with pytest.raises(Undo):
        async with DB.transaction():
            for rule in rules:
                await Order.raw(BREAKS[rule][0].format(**ids))
            await Order.raw(
                "INSERT INTO job (kind, subject, run_at, tries)"
                " SELECT 'notice', max(id), CURRENT_TIMESTAMP, 0 FROM notice"
            )
            await repair.repair_rules([rules[1]])
            assert await doctor.find_violations() == {}
            raise Undo


@pytest.mark.parametrize(("owner", "tables"), [("flavor", 2), ('"user"', 3), ("kind", 1)])
async def test_wrong_changes_of_totals_are_discarded_and_no_others(
    ids: dict[str, Any], customer: Caller, owner: str, tables: int
) -> None:
    await carry_out((await place(customer.user.id, {ids["flavor"]: 1})).order)
    with pytest.raises(Undo):
        async with DB.transaction():
            await Order.raw(
                f"UPDATE total_change SET quantity = quantity + 1 WHERE {owner} IS NOT NULL"
            )
            broken = await doctor.find_violations()
            assert len(broken) == tables
            await repair.repair_rules([next(iter(broken))])
            assert await doctor.find_violations() == {}
            assert await TotalChange.exists()
            raise Undo


async def test_a_repaired_job_is_carried_out_at_once(customer: Caller, flavor: int) -> None:
    placed = await place(customer.user.id, {flavor: 2})
    await Job.delete().where(Job.subject == payment_id(placed))
    assert list(await doctor.find_violations()) == ["an open payment has a job"]
    assert await repair.repair_rules(await doctor.find_violations()) == {}
    assert await Job.exists().where(
        Job.subject == payment_id(placed), Job.kind == "charge", Job.customer == customer.user.id
    )
    worker = make_executor(Provider())

    async def is_paid() -> bool:
        await worker.sweep()
        return await Order.exists().where(Order.id == placed.order, Order.status == "paid")

    # A worker finds the job by its due time, without a notification.
    await until(is_paid)
    assert await doctor.find_violations() == {}


async def test_a_repair_that_the_database_refuses_does_not_undo_the_others(
    ids: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    totals, jobs = "totals by day equal a recount", "a job has an open payment"
    monkeypatch.setitem(repair.REPAIRS, jobs, ("UPDATE flavor SET stock = -1",))
    await Order.raw(BREAKS[totals][0].format(**ids))
    refused = await repair.repair_rules([jobs, totals])
    assert list(refused) == [jobs]
    assert await doctor.find_violations() == {}


async def test_the_command_shows_its_plan_and_carries_it_out_with_yes(
    tmp_path: Path, empty_database: str
) -> None:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        assert shop.run("doctor", "--repair").returncode == 0
        broken = "INSERT INTO flavor_total (flavor, status, quantity, orders, revenue, refunded)"
        sql = f"{broken} VALUES (1, 'paid', 7, 1, 7, 0)"
        call = f"asyncio.run(Flavor.raw({sql!r}).run())"
        shop._python("-c", f"import asyncio; from icecream.tables import Flavor; {call}")
        plan = shop.run("doctor", "--repair")
        assert (plan.returncode, plan.stdout.splitlines()[1:]) == (
            1,
            [
                "BROKEN  totals by flavor equal a recount: 1 (1)",
                f"TO DO   {advice.ADVICE['totals by flavor equal a recount']}",
                "REPAIR  totals by flavor equal a recount: can be repaired",
                f"1 of {len(doctor.RULES)} rules are broken.",
            ],
        )
        report = shop.run("doctor", "--json")
        assert report.returncode == 1
        (found,) = json.loads(report.stdout)["broken"]
        assert (found["rule"], found["rows"]) == ("totals by flavor equal a recount", [1])
        assert found["is_repairable"]
        assert shop.run("doctor", "--yes").stdout == "icecream: --yes requires --repair.\n"
        done = shop.run("doctor", "--repair", "--yes")
        assert done.returncode == 0, done.stdout
        assert done.stdout.endswith("every rule holds.\n")
