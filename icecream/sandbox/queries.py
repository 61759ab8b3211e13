"""Lists and searches, the newest objects first."""

import operator
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from icecream.sandbox.objects import (
    ApiError,
    PaymentIntent,
    RefundObject,
    StripeObject,
    expand,
    expansions,
)
from icecream.sandbox.state import Bank

QUERY_PATTERN = re.compile(r"metadata\['(\w+)'\]:'([^']+)'")
TIME_FILTERS = {
    "created": operator.eq,
    "created[gt]": operator.gt,
    "created[gte]": operator.ge,
    "created[lt]": operator.lt,
    "created[lte]": operator.le,
}
PATHS: dict[type[StripeObject], str] = {
    PaymentIntent: "/v1/payment_intents",
    RefundObject: "/v1/refunds",
}
# The filters of each list, besides the time.
FILTERS: dict[type[StripeObject], set[str]] = {
    PaymentIntent: {"customer"},
    RefundObject: {"payment_intent"},
}
PAGING_PARAMETERS = {"limit", "starting_after", "ending_before"}
# Stripe's page sizes.
DEFAULT_PAGE_SIZE = 10
MAX_PAGE_SIZE = 100


def list_objects(bank: Bank, kind: type[StripeObject], query: dict[str, str]) -> dict[str, Any]:
    """Return a page of the objects, the newest ones first."""
    filters, objects = FILTERS[kind], bank.objects(kind)
    _refuse_others(query, PAGING_PARAMETERS | TIME_FILTERS.keys() | filters)
    matching = [
        stripe_object
        for stripe_object in reversed(list(objects.values()))
        if _matches(stripe_object, query, filters)
    ]
    page, has_more = _cut_page(matching, objects, query, _parse_limit(query))
    fields = expansions(kind, query, "data.")
    data = [expand(one, fields, bank.intents) for one in page]
    return {"object": "list", "url": PATHS[kind], "has_more": has_more, "data": data}


def retrieve(
    bank: Bank, kind: type[StripeObject], reference: str, query: dict[str, str]
) -> dict[str, Any]:
    """Return one object."""
    _refuse_others(query, set())
    stripe_object = bank.objects(kind).get(reference)
    if stripe_object is None:
        raise ApiError(404, code="resource_missing", param="id")
    return expand(stripe_object, expansions(kind, query), bank.intents)


def _refuse_others(query: dict[str, str], known: set[str]) -> None:
    for name in query:
        if name not in known and not name.startswith("expand["):
            raise ApiError(400, code="parameter_unknown", param=name)


def _parse_limit(query: dict[str, str]) -> int:
    limit = _parse_int(query, "limit", DEFAULT_PAGE_SIZE)
    if not 1 <= limit <= MAX_PAGE_SIZE:
        raise ApiError(400, code="parameter_invalid", param="limit")
    return limit


def _cut_page(
    matching: Sequence[StripeObject],
    objects: Mapping[str, StripeObject],
    query: dict[str, str],
    limit: int,
) -> tuple[Sequence[StripeObject], bool]:
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


def search_intents(bank: Bank, query: dict[str, str], lag: float) -> dict[str, Any]:
    """Search by our metadata; objects younger than `lag` seconds are not found yet."""
    _refuse_others(query, {"query", "limit", "page"})
    match = QUERY_PATTERN.fullmatch(query.get("query", ""))
    if match is None:
        raise ApiError(400, code="parameter_invalid", param="query")
    name, value = match.groups()
    before = time.time() - lag
    found = [
        stripe_object
        for stripe_object in reversed(bank.intents.values())
        if stripe_object.metadata.get(name) == value and stripe_object.created <= before
    ]
    # Here a page is named by the last object before it; to clients its name means nothing.
    after = {"starting_after": query["page"]} if "page" in query else {}
    page, has_more = _cut_page(found, bank.intents, after, _parse_limit(query))
    fields = expansions(PaymentIntent, query, "data.")
    return {
        "object": "search_result",
        "url": "/v1/payment_intents/search",
        "has_more": has_more,
        "next_page": page[-1].id if has_more else None,
        "data": [expand(one, fields, bank.intents) for one in page],
    }
