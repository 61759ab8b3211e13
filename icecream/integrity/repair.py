"""Repairs of the doctor's findings that can be recomputed from orders and payments."""

from collections.abc import Iterable, Sequence
from functools import partial

from icecream import database, settings
from icecream.integrity import doctor
from icecream.tables import MAX_STOCK, Flavor, TotalProgress

# All other findings are contradictions between two facts, and no program can decide which is true.
REPAIRS: dict[str, tuple[str, ...]] = {
    "an open payment has a job": (
        f"""INSERT INTO job (kind, subject, customer, run_at, tries)
            SELECT p.kind, p.id, o."user", {database.NOW_SQL}, 0
            FROM payment p JOIN orders o ON o.id = p."order" WHERE p.state IN ({doctor.OPEN_STATES})
            AND NOT EXISTS (SELECT 1 FROM job j WHERE j.subject = p.id AND j.kind = p.kind)""",
    ),
    "a job has an open payment": (
        f"""DELETE FROM job WHERE kind IN ('charge', 'refund') AND NOT EXISTS (
            SELECT 1 FROM payment p WHERE p.id = job.subject AND p.kind = job.kind
            AND p.state IN ({doctor.OPEN_STATES}))""",
    ),
    "counted stock equals receipts minus reservations": (
        f"""UPDATE flavor SET stock = {doctor.STOCK_EXPRESSION} WHERE stock IS NOT NULL
            AND stock <> {doctor.STOCK_EXPRESSION}
            AND {doctor.STOCK_EXPRESSION} BETWEEN 0 AND {MAX_STOCK}""",
    ),
}


# For each kind of facts: the column that their changes have.
_OWNERS = {
    doctor.LINE_FACTS: "flavor",
    doctor.ORDER_FACTS: '"user"',
    doctor.PAYMENT_FACTS: "kind",
}


def _recount_statements(facts: str) -> tuple[str, ...]:
    """Return the statements that recount all totals of these facts, and discard their changes."""
    owner = _OWNERS[facts]
    tables = [(table, keys) for table, keys, counted in doctor.TOTALS.values() if counted == facts]
    recounts = [statement for one in tables for statement in _recount_table(*one, facts)]
    return (f"DELETE FROM total_change WHERE {owner} IS NOT NULL", *recounts)


def _recount_table(table: str, keys: str, facts: str) -> tuple[str, str]:
    values = doctor.DAY_PATTERN.sub(r"CAST(\g<0> AS date)", keys) if doctor.IS_POSTGRES else keys
    return (
        f"DELETE FROM {table}",
        f"""INSERT INTO {table} ({keys}, quantity, orders, revenue, refunded)
            SELECT {values}, sum(quantity), sum(orders), sum(revenue),
            sum(refunded) FROM ({facts}) facts GROUP BY {keys}""",
    )


REPAIRS |= {rule: _recount_statements(facts) for rule, (*_, facts) in doctor.TOTALS.items()}
if doctor.IS_POSTGRES:
    # Never set a sequence back: other processes may get ids at the same time.
    REPAIRS |= dict.fromkeys(
        doctor.SEQUENCE_RULES,
        tuple(
            f"""SELECT setval({doctor.sequence_expression(table)}, greatest(max(id),
                nextval({doctor.sequence_expression(table)}))) {doctor.if_behind(table)}"""
            for table in doctor.WITH_SEQUENCE
        ),
    )


def is_repairable(rule: str) -> bool:
    """Return whether a rule can be repaired from other data."""
    return rule in REPAIRS


async def repair_rules(broken: Iterable[str]) -> dict[str, str]:
    """Repair these rules as far as possible, each in its own transaction, while orders are locked.

    Returns:
        The rules whose repair the database refused, and why.
    """
    refused = {}
    for rule in broken:
        try:
            await database.transaction(partial(_repair_rule, REPAIRS.get(rule, ())))
        except database.CONSTRAINT_VIOLATIONS as error:
            refused[rule] = str(error)
    return refused


async def follow_time_zone() -> bool:
    """Recount the totals by day if the setting of the time zone changed; return whether it did.

    No other process may place or change orders by the old setting meanwhile or later.
    """
    if await read_time_zone() == settings.load().time_zone:
        return False
    statements = [one for facts in _OWNERS for one in _recount_statements(facts)]
    zone = settings.load().time_zone
    await database.transaction(
        partial(_repair_rule, [*statements, f"UPDATE total_progress SET time_zone = '{zone}'"])
    )
    return True


async def read_time_zone() -> str:
    """Return the time zone of the totals by day."""
    (row,) = await TotalProgress.select(TotalProgress.time_zone)
    zone: str = row["time_zone"]
    return zone


async def _repair_rule(statements: Sequence[str]) -> None:
    if doctor.IS_POSTGRES:
        # Every writer of money or stock locks an order or a flavor: writers wait, readers do not.
        await Flavor.raw("LOCK TABLE orders, flavor, payment, job IN SHARE ROW EXCLUSIVE MODE")
        # And no process applies changes to the totals.
        await Flavor.raw("SELECT id FROM total_progress FOR UPDATE")
    for statement in statements:
        await Flavor.raw(doctor.with_local_days(statement))
