"""The decisions of staff about parked payments, over HTTP."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated

from litestar import Controller, post
from litestar.datastructures import State
from litestar.params import JSONBody
from litestar.types import ASGIApp
from msgspec import Meta, Struct

from icecream import errors, fields
from icecream.accounts import http as accounts_http
from icecream.http import bodies, openapi
from icecream.idempotency import http as idempotency_http
from icecream.payments import decline_codes, manual_review
from icecream.payments.http import methods as methods_http
from icecream.payments.http.payments import EXAMPLE, PAYMENT_REFUSALS, PaymentView, get_payment

DECISION_REFUSALS = (
    *PAYMENT_REFUSALS,
    *openapi.BODY_REFUSALS,
    *openapi.IDEMPOTENCY_KEY_REFUSALS,
    errors.NotParked("This payment is succeeded."),
)


class Why(fields.Body):
    """The reason for a decision, and a note; both are stored in the order's history."""

    reason: Annotated[fields.ShownReason, Meta(examples=["not in the provider's list"])]
    internal_note: fields.InternalNote | None = None

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")


class Retry(fields.Body):
    """The reason for a retry, a note, and the provider's reference of the payment, if known."""

    reason: Annotated[fields.ShownReason, Meta(examples=["the provider is back"])]
    internal_note: fields.InternalNote | None = None
    reference: methods_http.Reference | None = None

    def __post_init__(self) -> None:
        fields.strip_texts(self, "reason", "internal_note")
        if self.reference is not None:
            self.reference = methods_http.validate_reference(self.reference)


class DecisionResult(Struct):
    """The result of a decision; stored with the Idempotency-Key."""

    payment: int
    staged: list[int]


RETRIED_EXAMPLE = EXAMPLE | {"state": "unknown", "actions": []}
RELEASED_EXAMPLE = EXAMPLE | {
    "state": "declined",
    "failure": {"code": "released", "message": decline_codes.message_of("released")},
    "actions": [],
}
REFUNDED_EXAMPLE = EXAMPLE | {"state": "succeeded", "actions": []}
BOOKED_EXAMPLE = REFUNDED_EXAMPLE | {
    "id": 2,
    "kind": "refund",
    "provider_ref": "re_3N3T00LkdIwHu7ix0yj2B1aZ",
    "last_error": "The provider moved 4.50 EUR instead of 5.00 EUR.",
}


class PaymentDecisions(Controller):
    """The handlers of decisions about payments, for staff."""

    path = "/api/payments"
    tags = ["Payments"]
    guards = [accounts_http.require_staff, bodies.require_exact_ids]
    opt = accounts_http.FOR_ORDERS

    @post(
        "/{payment:int}/retry",
        **openapi.operation(
            "retryPayment",
            "Retry a parked payment",
            PaymentView,
            RETRIED_EXAMPLE,
            *DECISION_REFUSALS,
            errors.ReferenceTaken(),
            status=202,
        ),
    )
    async def retry_payment(
        self,
        request: bodies.ApiRequest,
        payment: bodies.PathId,
        data: JSONBody[Retry],
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Query the provider again about a parked payment. For staff.

        The payment is looked up by its `reference` or by our key. It is sent again only while the
        provider remembers that key, so nothing is charged twice. Without a result, the payment is
        parked again.
        """
        decision = partial(manual_review.retry_payment, reference=data.reference)
        return await _decide(decision, request, payment, data, state, idempotency_key, status=202)

    @post(
        "/{payment:int}/release",
        **openapi.operation(
            "releasePayment",
            "Release a parked payment",
            PaymentView,
            RELEASED_EXAMPLE,
            *DECISION_REFUSALS,
        ),
    )
    async def release_payment(
        self,
        request: bodies.ApiRequest,
        payment: bodies.PathId,
        data: JSONBody[Why],
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Confirm that a parked payment moved no money. For staff. Check the provider's list first.

        The payment becomes `declined`. The order of a charge becomes `failed`: its stock is
        released, and it can be paid again. The order of a refund stays `paid`.
        """
        decision = manual_review.release_payment
        return await _decide(decision, request, payment, data, state, idempotency_key)

    @post(
        "/{payment:int}/refund",
        **openapi.operation(
            "refundPayment",
            "Refund a parked payment",
            PaymentView,
            REFUNDED_EXAMPLE,
            *DECISION_REFUSALS,
            errors.NothingCharged(),
            status=202,
        ),
    )
    async def refund_payment(
        self,
        request: bodies.ApiRequest,
        payment: bodies.PathId,
        data: JSONBody[Why],
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Accept a parked charge of another amount than requested, and refund it. For staff.

        All that the provider `moved` is refunded. Then the order becomes `canceled`.
        """
        decision = manual_review.refund_payment
        return await _decide(decision, request, payment, data, state, idempotency_key, status=202)

    @post(
        "/{payment:int}/book",
        **openapi.operation(
            "bookPayment",
            "Book a parked refund",
            PaymentView,
            BOOKED_EXAMPLE,
            *DECISION_REFUSALS,
            errors.NothingRefunded(),
        ),
    )
    async def book_refund(
        self,
        request: bodies.ApiRequest,
        payment: bodies.PathId,
        data: JSONBody[Why],
        state: State,
        idempotency_key: openapi.IdempotencyKeyHeader = None,
    ) -> ASGIApp:
        """Accept a parked refund of another amount than requested. For staff.

        The amount that it `moved` is added to the order's `refunded`. If money is left, the order
        becomes `paid`, and the rest can be refunded. If the order is being canceled, the rest is
        refunded at once.
        """
        decision = manual_review.book_refund
        return await _decide(decision, request, payment, data, state, idempotency_key)


async def _decide(
    decision: Callable[..., Awaitable[list[int]]],
    request: bodies.ApiRequest,
    payment: int,
    data: Why | Retry,
    state: State,
    idempotency_key: str | None,
    *,
    status: int = 200,
) -> ASGIApp:
    """Decide once, notify the workers of the next payments, and answer the payment."""

    async def work() -> DecisionResult:
        staged = await decision(
            payment, reason=data.reason, by=request.user.id, internal_note=data.internal_note
        )
        return DecisionResult(payment, staged)

    decided, headers = await idempotency_http.answer_once(
        idempotency_key, request, work, DecisionResult, body=data
    )
    await state.notify_workers(decided.staged)
    return bodies.JsonResponse(await get_payment(payment), headers, status)
