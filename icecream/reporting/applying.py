"""Applying changes to the totals, in one process at a time.

The views of the totals (`tables.CurrentFlavorTotal` and the others) add the changes that are not
yet applied, so figures are exact at any time. They skip the changes before the start: all of those
are applied, but PostgreSQL keeps deleted rows while a backup or another transaction holds a
snapshot. The start is stored, so that a snapshot sees the start that belongs to its rows.
"""

from icecream import database, settings
from icecream.database.queue_start import QueueStart
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import TotalChange, TotalProgress

# With PostgreSQL, each batch leaves an old version of every total that it changes, so a second of
# changes should be one batch. With SQLite, orders wait meanwhile: for about 20 ms.
MAX_CHANGES_PER_BATCH = 20_000 if isinstance(database.DB, database.Postgres) else 2000
# The stored start may be behind by so many changes, because each update of it leaves an old row.
MIN_START_ADVANCE = 1000


class OtherTimeZone(RuntimeError):
    """The time zone was changed and the totals recounted while this process was running."""


_SUMS = ("quantity", "orders", "revenue", "refunded")
# A transaction has written or locked an order before it takes the ids of its changes.
_QUEUE_START = QueueStart(
    TotalChange.id, end="(SELECT last_value FROM total_change_id_seq)", margin=0
)


def _addition(table: str, keys: str, owner: str) -> str:
    """Return the SQL that adds the changes of flavors, customers or payments to a table."""
    sums = ", ".join(f"sum({name})" for name in _SUMS)
    updates = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
    return (
        f"INSERT INTO {table} ({keys}, {', '.join(_SUMS)}) SELECT {keys}, {sums} FROM applied"
        f" WHERE {owner} IS NOT NULL GROUP BY {keys} ON CONFLICT ({keys}) DO UPDATE SET {updates}"
    )


_ADDITIONS = (
    _addition("flavor_total", "flavor, status", "flavor"),
    _addition("flavor_day", "flavor, day, local_day, status", "flavor"),
    _addition("customer_day", '"user", day, local_day, status', '"user"'),
    _addition("day_total", "day, local_day, status", '"user"'),
    _addition("quarter_total", "quarter, status", '"user"'),
    _addition("payment_day", "kind, state, day, local_day", "kind"),
)
_NEXT = f"ORDER BY id LIMIT {MAX_CHANGES_PER_BATCH}"
_SELECT_NEXT = f"SELECT * FROM total_change {_NEXT}"


def _postgres_statement() -> str:
    """Return one statement, so that all of its parts see the same changes."""
    ids = f"SELECT id FROM total_change WHERE id >= {{}} {_NEXT}"
    parts = ", ".join(f"part_{n} AS ({text})" for n, text in enumerate(_ADDITIONS))
    return (
        f"WITH applied AS (DELETE FROM total_change WHERE id = ANY(ARRAY({ids})) RETURNING *),"
        f" {parts} SELECT count(*) AS number FROM applied"
    )


# SQLite has one writer, so that all statements of a transaction see the same changes.
_SQLITE_STATEMENTS = (
    *(f"WITH applied AS ({_SELECT_NEXT}) {text}" for text in _ADDITIONS),
    f"DELETE FROM total_change WHERE id IN (SELECT id FROM ({_SELECT_NEXT}))",
    "SELECT changes() AS number",
)
_POSTGRES_STATEMENT = _postgres_statement()


async def apply_changes() -> bool:
    """Apply the next changes to the totals; return True if there may be more right now."""
    if not await TotalChange.exists().where(*await _QUEUE_START.conditions()):
        return False
    start = await _QUEUE_START.read()
    more = await database.transaction(lambda: _apply_batch(start))
    reach_failpoint("totals.applied")
    return more


async def _apply_batch(start: int | None) -> bool:
    # A row lock, as in `feed.publisher`. The changes are read by a later statement, so that it does
    # not see those which the last process applied.
    columns = TotalProgress.start, TotalProgress.time_zone
    progress = await database.for_update_skip_locked(TotalProgress.select(*columns))
    if not progress:
        # Another process applies them now.
        return False
    _require_time_zone(progress[0]["time_zone"])
    number = await _apply_next(start or 0)
    stored: int = progress[0]["start"]
    if start is not None and not stored <= start < stored + MIN_START_ADVANCE:
        await TotalProgress.update({TotalProgress.start: start}).where(
            TotalProgress.start == stored
        )
    reach_failpoint("totals.applying")
    return number == MAX_CHANGES_PER_BATCH


def _require_time_zone(stored: str) -> None:
    current = settings.load().time_zone
    if stored != current:
        raise OtherTimeZone(
            f"This process writes totals by day in {current}, but the totals are kept in {stored}. "
            "Stop it, and run `icecream doctor --repair --yes` with the right ICECREAM_TIME_ZONE."
        )


async def _apply_next(start: int) -> int:
    """Apply changes, and return their number."""
    if isinstance(database.DB, database.Postgres):
        (row,) = await TotalChange.raw(_POSTGRES_STATEMENT, start)
        return int(row["number"])
    for statement in _SQLITE_STATEMENTS:
        rows = await TotalChange.raw(statement)
    return int(rows[0]["number"])
