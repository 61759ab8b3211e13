"""Refusals of requests that fit the API document: rules that a schema cannot express.

Schemathesis loads this file. Its check `refusal_is_known` accepts a 400 for a valid request only if
the operation and the refused value are listed here.
"""

import re
from typing import Any

import schemathesis

CURSOR = "a cursor of another list, or of none"
DAYS = "the days contradict each other, or are in the future"
NO_EVENT = "there is no event with this id yet"
NO_NULL = "a form cannot send null, and the word is refused as a mistake"
ONLY_JSON = "a form has no lists of objects"
UNKNOWN_FLAVOR = "there is no such flavor"
VISIBLE = "no visible character: a pattern cannot name Unicode's categories"
ENTITY_TAG = "Schemathesis sends entity tags of its own, without the quotes of the pattern"
TIMES = "the times contradict each other, or are outside the years that a database stores"
WHOLE_LIST = "together with format=csv, which is the whole list"
LIST = {
    "/after": f"{CURSOR}; or {WHOLE_LIST}",
    "/limit": WHOLE_LIST,
    "/count": WHOLE_LIST,
    "/sort": WHOLE_LIST,
    "/created_from": TIMES,
    "/created_to": TIMES,
    "/updated_from": TIMES,
    "/user": "larger than any id; a pattern has no largest number",
}
NEW_ORDER = {
    "/lines": ONLY_JSON,
    "/lines/N": ONLY_JSON,
    "/flavor": UNKNOWN_FLAVOR,
    "/lines/N/flavor": UNKNOWN_FLAVOR,
    "/sku": UNKNOWN_FLAVOR,
    "/lines/N/sku": UNKNOWN_FLAVOR,
    "/quantity": "the flavor has a minimum or a multiple",
    "/lines/N/quantity": "the sum for one flavor is too large, or the flavor has a minimum",
    "/reference": VISIBLE,
    "/note": VISIBLE,
    "/delivery_date": "in the past, or too far ahead; or the word null in a form",
}
PRODUCT_DATA = {
    "/allergens": NO_NULL,
    "/unit": NO_NULL,
    "/pack_size": NO_NULL,
    "/net_content_ml": NO_NULL,
    "/on_sale_from": NO_NULL,
    "/on_sale_to": "before on_sale_from; or the word null in a form",
    "/min_quantity": NO_NULL,
    "/quantity_multiple": NO_NULL,
    "/low_stock_threshold": NO_NULL,
}
WEBHOOK = {
    "/url": "http, or an address that is not public, or no valid URL",
    "/types": "a form with one value has no list; or the word null in a form",
}
NOTE = {"/internal_note": VISIBLE + "; or the word null in a form"}
DECISION = {"/reason": VISIBLE, **NOTE}
# By operation and by the pointer to the value.
BAD_VALUES: dict[str, dict[str, str]] = {
    "GET /api/dashboard": {"/period": "a period and days together", "/from": DAYS, "/to": DAYS},
    "GET /api/events": {"/Last-Event-ID": NO_EVENT, "/lastEventId": NO_EVENT, "/after": NO_EVENT},
    "GET /api/flavors": {"/If-None-Match": ENTITY_TAG},
    "GET /api/my-orders": LIST,
    "GET /api/orders": LIST,
    "GET /api/packing-list": {"/placed_from": "together with a date"},
    "GET /api/payments": {"/after": CURSOR},
    "GET /api/stats": {"/from": DAYS, "/to": DAYS},
    "PATCH /api/flavors/{flavor}": {
        "": "an empty form is no body",
        "/If-Match": ENTITY_TAG,
        "/stock": NO_NULL,
        "/name": VISIBLE,
        **PRODUCT_DATA,
    },
    "POST /api/flavors/add": {"/stock": NO_NULL, "/name": VISIBLE, **PRODUCT_DATA},
    "POST /api/flavors/{flavor}/stock": {"/quantity": "0 changes nothing", "/reason": VISIBLE},
    "GET /api/keys": {
        "/after": CURSOR,
        "/user": "larger than any id; a pattern has no largest number",
    },
    "POST /api/keys": {
        "/name": VISIBLE,
        "/scopes": "without read and order, or of a customer with staff",
        "/expires_at": "in the past; or the word null in a form",
        "/user": NO_NULL,
    },
    "POST /api/me/password": {
        "/current_password": "another one",
        "/new_password": "a common one",
    },
    "POST /api/orders": NEW_ORDER,
    "POST /api/orders/quote": NEW_ORDER,
    "POST /api/orders/fulfilment": {"/reason": VISIBLE + "; or the word null in a form", **NOTE},
    "POST /api/orders/{order}/refund": {
        "/amount": NO_NULL + "; or it comes with lines",
        "/reason": VISIBLE,
        "/reason_code": NO_NULL,
        "/lines": ONLY_JSON + "; or a flavor twice",
        "/lines/N": ONLY_JSON,
        "/lines/N/flavor": "the order has no such line",
        "/restock": "it comes with an amount, or the goods are back already",
        **NOTE,
    },
    "POST /api/payments/{payment}/book": DECISION,
    "POST /api/payments/{payment}/refund": DECISION,
    "POST /api/payments/{payment}/release": DECISION,
    "POST /api/payments/{payment}/retry": {"/reference": NO_NULL, **DECISION},
    "PATCH /api/webhooks/{endpoint}": {"": "an empty form is no body", **WEBHOOK},
    "POST /api/webhooks": WEBHOOK,
    "POST /api/webhooks/{endpoint}/replay": {
        "/since": "a long period, or a year that a database does not store",
        "/until": TIMES,
    },
    "GET /api/webhooks/{endpoint}/deliveries": {"/after": CURSOR},
    "PUT /api/payment-method": {"/reference": "it looks like the number of a card"},
}
# An operation with a file: which columns it must have depends on the path.
IMPORT = "POST /api/import/{kind}"
BAD_VALUES[IMPORT] = {}
# Operations whose values are a secret of an account.
CREDENTIALS = ("POST /api/token", "POST /api/token/refresh", "POST /api/token/revoke")
# A file is sent as it is generated: nearly always one that cannot be read.
schemathesis.serializer.alias("application/x-ndjson", "application/octet-stream")


@schemathesis.check
def refusal_is_known(ctx: Any, response: Any, case: Any) -> None:
    """Check that a valid request is 400 only for a value that is listed above."""
    if response.status_code != 400 or case.meta is None or case.meta.generation.mode.is_negative:
        return
    if case.operation.label == IMPORT:
        return
    known = BAD_VALUES.get(case.operation.label, {})
    pointers = [re.sub(r"\d+", "N", error["pointer"]) for error in response.json()["errors"]]
    assert set(pointers) <= known.keys(), response.text
