"""Lists and searches: the newest first."""

import operator
import re
import time
from collections.abc import Mapping
from itertools import dropwhile, islice
from typing import Any

from icecream.sandbox.things import Intent, Refusal, Thing

QUERY = re.compile(r"metadata\['(\w+)'\]:'([^']+)'")
BOUNDS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def page(path: str, things: Mapping[str, Thing], query: dict[str, str]) -> dict[str, Any]:
    """Some of them, and whether there are more."""
    query = dict(query)
    limit, after = int(query.pop("limit", "10")), query.pop("starting_after", None)
    newest = reversed(list(things.values()))
    if after is not None:
        if after not in things:
            raise Refusal(400, code="resource_missing", param="starting_after")
        newest = dropwhile(lambda one: one.id != after, newest)
        next(newest)
    found = list(islice((one for one in newest if _fits(one, query)), limit + 1))
    return {"object": "list", "url": path, "has_more": len(found) > limit, "data": found[:limit]}


def _fits(thing: Thing, query: dict[str, str]) -> bool:
    for name, value in query.items():
        if name.startswith("created["):
            if not BOUNDS[name[8:-1]](thing.created, int(value)):
                return False
        elif getattr(thing, name) != value:
            return False
    return True


def search(intents: Mapping[str, Intent], query: dict[str, str], lag: float) -> dict[str, Any]:
    """By our metadata; what is younger than `lag` seconds is not found yet."""
    told = QUERY.fullmatch(query.get("query", ""))
    if told is None:
        raise Refusal(400, code="parameter_invalid", param="query")
    name, value = told.groups()
    before = time.time() - lag
    found = [
        one for one in intents.values() if one.metadata.get(name) == value and one.created <= before
    ]
    return {"object": "search_result", "has_more": False, "data": found[::-1]}
