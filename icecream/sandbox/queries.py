"""Lists and searches, the newest objects first."""

import operator
import re
import time
from collections.abc import Mapping
from typing import Any

from icecream.sandbox.objects import ApiError, PaymentIntent, StripeObject

QUERY_PATTERN = re.compile(r"metadata\['(\w+)'\]:'([^']+)'")
TIME_FILTERS = {
    "created": operator.eq,
    "created[gt]": operator.gt,
    "created[gte]": operator.ge,
    "created[lt]": operator.lt,
    "created[lte]": operator.le,
}
# The filters of each list, besides the time.
FILTERS = {"/v1/payment_intents": {"customer"}, "/v1/refunds": {"payment_intent"}}
PAGING_PARAMETERS = {"limit", "starting_after", "ending_before"}
# Stripe's page sizes.
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100


def list_objects(
    path: str, objects: Mapping[str, StripeObject], query: dict[str, str]
) -> dict[str, Any]:
    """Return a page of the objects, the newest ones first."""
    filters = FILTERS[path]
    for name in query:
        if name not in PAGING_PARAMETERS | TIME_FILTERS.keys() | filters and not name.startswith(
            "expand["
        ):
            raise ApiError(400, code="parameter_unknown", param=name)
    limit = _parse_int(query, "limit", DEFAULT_PAGE_SIZE)
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise ApiError(400, code="parameter_invalid", param="limit")
    matching = [
        stripe_object
        for stripe_object in reversed(list(objects.values()))
        if _matches(stripe_object, query, filters)
    ]
    page, has_more = _cut_page(matching, objects, query, limit)
    return {"object": "list", "url": path, "has_more": has_more, "data": page}


def _cut_page(
    matching: list[StripeObject],
    objects: Mapping[str, StripeObject],
    query: dict[str, str],
    limit: int,
) -> tuple[list[StripeObject], bool]:
    """Return the page after or before the caller's, and whether there are more beyond it."""
    after, before = query.get("starting_after"), query.get("ending_before")
    for name in ("starting_after", "ending_before"):
        if name in query and query[name] not in objects:
            raise ApiError(400, code="resource_missing", param=name)
    newest_first = list(objects)[::-1]
    if before is not None:
        newer = set(newest_first[: newest_first.index(before)])
        left = [stripe_object for stripe_object in matching if stripe_object.id in newer]
        return left[-limit:], len(left) > limit
    if after is not None:
        older = set(newest_first[newest_first.index(after) + 1 :])
        matching = [stripe_object for stripe_object in matching if stripe_object.id in older]
    return matching[:limit], len(matching) > limit


def _matches(stripe_object: StripeObject, query: dict[str, str], filters: set[str]) -> bool:
    times = all(
        compare(stripe_object.created, _parse_int(query, name))
        for name, compare in TIME_FILTERS.items()
        if name in query
    )
    return times and all(
        getattr(stripe_object, name) == query[name] for name in filters & query.keys()
    )


def _parse_int(query: dict[str, str], name: str, default: int = 0) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ApiError(400, code="parameter_invalid_integer", param=name)
    return int(text)


def search_intents(
    intents: Mapping[str, PaymentIntent], query: dict[str, str], lag: float
) -> dict[str, Any]:
    """Search by our metadata; objects younger than `lag` seconds are not found yet."""
    for name in query:
        if name not in ("query", "limit") and not name.startswith("expand["):
            raise ApiError(400, code="parameter_unknown", param=name)
    match = QUERY_PATTERN.fullmatch(query.get("query", ""))
    if match is None:
        raise ApiError(400, code="parameter_invalid", param="query")
    name, value = match.groups()
    before = time.time() - lag
    found = [
        stripe_object
        for stripe_object in intents.values()
        if stripe_object.metadata.get(name) == value and stripe_object.created <= before
    ]
    return {"object": "search_result", "has_more": False, "data": found[::-1]}
