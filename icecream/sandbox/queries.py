"""Lists and searches, the newest objects first."""

import operator
import re
import time
from collections.abc import Mapping
from typing import Any

from icecream.sandbox.objects import Intent, Refusal, Thing

QUERY = re.compile(r"metadata\['(\w+)'\]:'([^']+)'")
CREATED = {
    "created": operator.eq,
    "created[gt]": operator.gt,
    "created[gte]": operator.ge,
    "created[lt]": operator.lt,
    "created[lte]": operator.le,
}
# The filters of each list, besides the time.
FILTERS = {"/v1/payment_intents": {"customer"}, "/v1/refunds": {"payment_intent"}}
PAGING = {"limit", "starting_after", "ending_before"}
DEFAULT_PAGE, LONGEST_PAGE = 10, 100


def page(path: str, things: Mapping[str, Thing], query: dict[str, str]) -> dict[str, Any]:
    """Return a page of the objects, the newest first, and whether there are more."""
    filters = FILTERS[path]
    for name in query:
        if name not in PAGING | CREATED.keys() | filters and not name.startswith("expand["):
            raise Refusal(400, code="parameter_unknown", param=name)
    limit = _whole(query, "limit", DEFAULT_PAGE)
    if not 1 <= limit <= LONGEST_PAGE:
        raise Refusal(400, code="parameter_invalid", param="limit")
    fitting = [one for one in reversed(list(things.values())) if _fits(one, query, filters)]
    found, more = _cut(fitting, things, query, limit)
    return {"object": "list", "url": path, "has_more": more, "data": found}


def _cut(
    fitting: list[Thing], things: Mapping[str, Thing], query: dict[str, str], limit: int
) -> tuple[list[Thing], bool]:
    """Return the page after or before the caller's, and whether there are more beyond it."""
    after, before = query.get("starting_after"), query.get("ending_before")
    for name in ("starting_after", "ending_before"):
        if name in query and query[name] not in things:
            raise Refusal(400, code="resource_missing", param=name)
    newest_first = list(things)[::-1]
    if before is not None:
        newer = set(newest_first[: newest_first.index(before)])
        left = [one for one in fitting if one.id in newer]
        return left[-limit:], len(left) > limit
    if after is not None:
        older = set(newest_first[newest_first.index(after) + 1 :])
        fitting = [one for one in fitting if one.id in older]
    return fitting[:limit], len(fitting) > limit


def _fits(thing: Thing, query: dict[str, str], filters: set[str]) -> bool:
    times = all(
        compare(thing.created, _whole(query, name))
        for name, compare in CREATED.items()
        if name in query
    )
    return times and all(getattr(thing, name) == query[name] for name in filters & query.keys())


def _whole(query: dict[str, str], name: str, default: int = 0) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise Refusal(400, code="parameter_invalid_integer", param=name)
    return int(text)


def search(intents: Mapping[str, Intent], query: dict[str, str], lag: float) -> dict[str, Any]:
    """Search by our metadata; objects younger than `lag` seconds are not found yet."""
    for name in query:
        if name not in ("query", "limit") and not name.startswith("expand["):
            raise Refusal(400, code="parameter_unknown", param=name)
    told = QUERY.fullmatch(query.get("query", ""))
    if told is None:
        raise Refusal(400, code="parameter_invalid", param="query")
    name, value = told.groups()
    before = time.time() - lag
    found = [
        one for one in intents.values() if one.metadata.get(name) == value and one.created <= before
    ]
    return {"object": "search_result", "has_more": False, "data": found[::-1]}
