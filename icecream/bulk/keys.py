"""The keys of orders and receipts: what is stored under a key is not imported again.

A key is stored in the transaction that writes its order or receipt, and never expires. An order or
receipt without a stored key has a key of its own, made from its id and its time. Both are unique
only together: another installation has the same ids.
"""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from icecream import database
from icecream.tables import ImportedKey, Order, StockMove

KeyKind = Literal["order", "stock"]
_TIMES: dict[KeyKind, Any] = {"order": Order.created_at, "stock": StockMove.at}
_OWN_KEY = re.compile(r"(?:order|stock)-([1-9][0-9]{0,17})-[0-9]{8}T[0-9]{12}Z")
_FIND = database.select_unique(
    (ImportedKey.kind, ImportedKey.key), (ImportedKey.key, ImportedKey.row)
)
_INSERT = database.insert(
    ImportedKey,
    (ImportedKey.kind, ImportedKey.key, ImportedKey.row),
    returning=(ImportedKey.id,),
    skip_existing=True,
)


def _own_key(kind: KeyKind, row: int, at: datetime) -> str:
    return f"{kind}-{row}-{at.astimezone(UTC):%Y%m%dT%H%M%S%f}Z"


async def find_rows(kind: KeyKind, keys: Collection[str]) -> dict[str, int]:
    """Return the ids of the orders or receipts under these keys, as far as they are known."""
    found = {row["key"]: row["row"] for row in await _FIND([(kind, key) for key in sorted(keys)])}
    if ids := [int(own[1]) for key in keys if (own := _OWN_KEY.fullmatch(key))]:
        at = _TIMES[kind]
        table = at._meta.table
        rows = await table.select(table.id, at).where(database.is_any(table.id, sorted(ids)))
        by_key = {_own_key(kind, row["id"], row[at._meta.name]): row["id"] for row in rows}
        found |= {key: by_key[key] for key in by_key.keys() & keys}
    return found


async def find_keys(kind: KeyKind, times: Mapping[int, datetime]) -> dict[int, str]:
    """Return the keys of orders or receipts, by their ids; `times` are their own times."""
    if not times:
        return {}
    rows = await ImportedKey.select(ImportedKey.row, ImportedKey.key).where(
        ImportedKey.kind == kind, database.is_any(ImportedKey.row, sorted(times))
    )
    own = {row: _own_key(kind, row, at) for row, at in times.items()}
    return own | {row["row"]: row["key"] for row in rows}


async def store(kind: KeyKind, rows: Mapping[str, int]) -> None:
    """Store the keys of new orders or receipts, within the transaction that writes them.

    Raises:
        database.RetryTransaction: another transaction stored one of the keys first.
    """
    written = await _INSERT([(kind, key, row) for key, row in sorted(rows.items())])
    if len(written) < len(rows):
        raise database.RetryTransaction
