"""Payments over HTTP, for staff: a list, or one of them."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import Parameter, QueryParameter
from litestar.types import ASGIApp
from msgspec import Meta, Struct
from piccolo.query import Select

from icecream import errors, fields, states
from icecream.accounts import http as accounts_http
from icecream.http import bodies, openapi, pagination
from icecream.payments import decline_codes, manual_review
from icecream.payments.http import methods as methods_http
from icecream.tables import Payment

COLUMNS = (
    *manual_review.COLUMNS,
    Payment.n,
    Payment.amount,
    Payment.order.currency.as_alias("currency"),
    Payment.provider_key,
    Payment.tries,
    Payment.first_sent_at,
    Payment.last_error,
    Payment.failure,
    Payment.reason_code,
)
Kind = Annotated[str, fields.words("PaymentKind", states.PAYMENT_KINDS)]
PaymentState = Annotated[str, fields.words("PaymentState", states.PAYMENT)]
Decision = Annotated[str, fields.words("Decision", states.DECISIONS)]
Visible = Annotated[str, Meta(max_length=255, pattern=methods_http.VISIBLE_PATTERN)]
STAFF_ONLY = errors.Forbidden(accounts_http.STAFF_ONLY)
PAYMENT_REFUSALS = (STAFF_ONLY, errors.NotFound())


class PaymentView(Struct):
    """One attempt to move money. `unknown`: no definite answer yet. `parked`: needs a decision.

    `failure` is the reason of a decline, `last_error` the provider's last error text.
    `moved` is the amount that the provider moved, if it differs from the requested `amount`.
    `actions` are the decisions that staff can make. `reason_code` says why staff refund goods.
    """

    id: fields.Id
    order: fields.Id
    kind: Kind
    n: Annotated[fields.Id, Meta(description="The number of the attempt, for each kind.")]
    state: PaymentState
    amount: fields.Amount
    moved: fields.Amount | None
    currency: fields.Currency
    provider_key: Visible
    provider_ref: Visible | None
    tries: fields.NonNegativeInt
    first_sent_at: fields.Timestamp | None
    last_error: fields.Text | None
    actions: Annotated[list[Decision], Meta(max_length=len(states.DECISIONS))]
    failure: decline_codes.Failure | None = None
    reason_code: fields.RefundReason | None = None


EXAMPLE = {
    "id": 1,
    "order": 1,
    "kind": "charge",
    "n": 1,
    "state": "parked",
    "amount": 500,
    "moved": 450,
    "currency": "EUR",
    "provider_key": "5a0f3c1f6d2b4a5e8c7d9e0f1a2b3c4d",
    "provider_ref": "pi_3N3T00LkdIwHu7ix0yj2B1aZ",
    "tries": 1,
    "first_sent_at": "2025-05-13T10:22:06.428877Z",
    "last_error": "The provider moved 4.50 EUR instead of 5.00 EUR.",
    "actions": ["retry", "release", "refund"],
}


async def read_payments(query: Select[Payment]) -> list[PaymentView]:
    """Return the payments of a query of COLUMNS."""
    payments = []
    for row in await query:
        code = row.pop("failure")
        payment = PaymentView(**row, actions=[])
        payment.actions = manual_review.allowed_decisions(payment)
        if payment.state == "declined":
            payment.failure = decline_codes.failure_of(code)
        payments.append(payment)
    return payments


async def get_payment(payment: int) -> PaymentView:
    """Return a payment.

    Raises:
        errors.NotFound: there is no such payment.
    """
    found = await read_payments(Payment.select(*COLUMNS).where(Payment.id == payment))
    if not found:
        raise errors.NotFound
    return found[0]


class Payments(Controller):
    """The handlers of payments, for staff."""

    path = "/api/payments"
    tags = ["Payments"]
    guards = [accounts_http.require_staff, bodies.require_exact_ids]

    @get(
        "/",
        **openapi.operation(
            "listPayments",
            "List payments",
            list[PaymentView],
            [EXAMPLE],
            pagination.INVALID_CURSOR,
            STAFF_ONLY,
        ),
    )
    async def list_payments(
        self,
        request: bodies.ApiRequest,
        state_: Annotated[
            str | None,
            QueryParameter(
                name="state",
                schema_extra={"title": "PaymentState", "enum": list(states.PAYMENT)},
                description="Only payments in this state; `parked` ones need a decision.",
            ),
        ] = None,
        order: Annotated[
            int | None,
            Parameter(ge=1, le=fields.MAX_ID, description="Only payments of this order."),
        ] = None,
        kind: Annotated[
            str | None,
            Parameter(
                schema_extra={"title": "PaymentKind", "enum": list(states.PAYMENT_KINDS)},
                description="Only payments of this kind.",
            ),
        ] = None,
        limit: pagination.Limit = None,
        after: pagination.After = None,
    ) -> ASGIApp:
        """List all payments, oldest first, or one page of them with `limit`. For staff."""
        pagination.parse_choice("state", state_, states.PAYMENT)
        pagination.parse_choice("kind", kind, states.PAYMENT_KINDS)
        filters = {Payment.state: state_, Payment.order: order, Payment.kind: kind}
        conditions = [column == value for column, value in filters.items() if value is not None]

        async def read(start: pagination.Cursor | None, most: int) -> pagination.Page:
            beyond = Payment.id > (start.id if start else 0)
            query = Payment.select(*COLUMNS).where(*conditions, beyond)
            rows = await read_payments(query.order_by(Payment.id).limit(most + 1))
            return pagination.encode_page(rows, most)

        return await pagination.list_response(request, read, limit=limit, after=after)

    @get(
        "/{payment:int}",
        **openapi.operation("getPayment", "Get a payment", PaymentView, EXAMPLE, *PAYMENT_REFUSALS),
    )
    async def get_payment(self, payment: bodies.PathId) -> PaymentView:
        """Get one payment, with the possible decisions. For staff."""
        return await get_payment(payment)
