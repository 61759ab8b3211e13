"""Stripe, over its official SDK: a PaymentIntent for a charge, a Refund for a refund."""

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import httpx
import msgspec
import stripe
from msgspec import Struct
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from icecream import stripe_units
from icecream.payments.providers import stripe_errors
from icecream.payments.providers.protocol import (
    Answer,
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    ProviderRecord,
    Refund,
    Request,
    Succeeded,
    UnverifiedWebhook,
    WebhookEvent,
)

log = logging.getLogger(__name__)
DEFAULT_API_URL = "https://api.stripe.com"
# Allows for a slow clock, and prevents that old events are replayed.
MAX_EVENT_AGE_SECONDS = 300
# Stripe's records can contain any text, so a longer number is not one of ours.
MAX_ORDER_DIGITS = 19
# Stripe's limit for one page of a list.
MAX_PAGE_SIZE = 100

# At lower levels the SDK logs whole answers, including the card's last digits. With STRIPE_LOG in
# the environment it prints them. Telemetry would describe this machine.
logging.getLogger("stripe").setLevel(logging.WARNING)
logging.getLogger("httpx").setLevel(logging.WARNING)
stripe._util.STRIPE_LOG = None
stripe.enable_telemetry = False


ListResponse = stripe.ListObject[stripe.Refund] | stripe.SearchResultObject[stripe.PaymentIntent]
JsonObject = dict[str, Any]


class PaymentObject(Struct):
    """The fields that we read of a PaymentIntent or a Refund."""

    id: str
    object: str
    status: str
    amount: int
    currency: str
    created: int
    # Only in a PaymentIntent; the amount received may differ from the requested one.
    amount_received: int | None = None
    last_payment_error: JsonObject | None = None
    # Only in a Refund.
    payment_intent: str | None = None
    failure_reason: str | None = None
    metadata: dict[str, str] | None = None

    @property
    def key(self) -> str | None:
        """Our idempotency key, if the object has one."""
        return (self.metadata or {}).get("reference")

    @property
    def requested(self) -> int:
        """The requested amount, in minor units."""
        return stripe_units.from_stripe(self.amount, self.currency.upper())

    @property
    def moved(self) -> int:
        """The moved amount; Stripe includes it in every PaymentIntent that succeeded."""
        moved = self.amount if self.amount_received is None else self.amount_received
        return stripe_units.from_stripe(moved, self.currency.upper())


class EventObject(Struct):
    """The fields that we read of an event's object."""

    object: str
    id: str = ""
    metadata: dict[str, str] | None = None


class EventData(Struct):
    object: EventObject


class StripeEvent(Struct):
    id: str
    data: EventData


class UnreadableResponse(stripe.APIError):
    """The answer is not from Stripe, but for example from a proxy in between."""


class ResponseBody(Struct):
    """The fields that the SDK relies on in every answer."""

    object: str = ""
    error: JsonObject | None = None
    data: list[JsonObject] | None = None


class CheckingClient(stripe.HTTPXClient):
    """An HTTP client that checks each answer before the SDK, which fails on unexpected ones."""

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: object = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        try:
            content, status, found = await super().request_async(method, url, headers, post_data)
        except stripe.APIConnectionError as error:
            if isinstance(error.__cause__, httpx.HTTPError):
                raise
            # The SDK treats every error as a network error, but this one is an internal error.
            raise (error.__cause__ or error) from None
        try:
            body = msgspec.json.decode(content, type=ResponseBody)
        except msgspec.DecodeError as error:
            raise UnreadableResponse(str(error)) from None
        if body.data is None and body.object in ("list", "search_result"):
            raise UnreadableResponse("a list without data")
        return content, status, found


class StripeGateway:
    """The gateway to Stripe, or to a server at `api` with the same API.

    A customer's method is `pm_...`, or `cus_.../pm_...` if it is saved for a customer of Stripe's.

    Args:
        key: the account's secret key.
        secret: verifies the webhooks; without it, no webhook is accepted.
        timeout: in seconds, for each step of a call.
    """

    # Stripe forgets a key after 24 hours. One hour less allows for clock differences and for
    # requests on their way.
    key_life = timedelta(hours=23)
    keeps_list = True

    def __init__(
        self,
        key: str,
        *,
        secret: str | None = None,
        api: str = DEFAULT_API_URL,
        timeout: float = 10.0,
    ) -> None:
        self._secret = secret
        self._http = CheckingClient(timeout=timeout)
        client = stripe.StripeClient(
            key,
            http_client=self._http,
            base_addresses={"api": api.rstrip("/")},
            # The worker does the retries, because it knows the earlier attempts.
            max_network_retries=0,
        )
        self._intents, self._refunds = client.v1.payment_intents, client.v1.refunds

    async def charge(self, charge: Charge) -> Answer:
        if charge.method is None:
            return Declined("There is no payment method.", "payment-method-missing")
        customer, _, method = charge.method.rpartition("/")
        parameters: PaymentIntentCreateParams = {
            "amount": stripe_units.to_stripe(charge.amount, charge.currency),
            "currency": charge.currency.lower(),
            "payment_method": method,
            "confirm": True,
            # The customer is not present: a bank that requires confirmation declines at once, and a
            # redirect to another page is not possible.
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": _metadata(charge),
        }
        if customer:
            parameters["customer"] = customer
        call = self._intents.create_async(parameters, {"idempotency_key": charge.key})
        return await _await_answer(call, charge)

    async def refund(self, refund: Refund) -> Answer:
        parameters: RefundCreateParams = {
            "payment_intent": refund.charge,
            "amount": stripe_units.to_stripe(refund.amount, refund.currency),
            "metadata": _metadata(refund),
        }
        call = self._refunds.create_async(parameters, {"idempotency_key": refund.key})
        return await _await_answer(call, refund)

    async def look_up(self, request: Request, reference: str | None) -> Answer | None:
        with _convert_errors():
            objects = (
                self._find(request) if reference is None else self._retrieve(request, reference)
            )
            # Also with a reference from an operator: an object with another key is another payment.
            found = [one async for one in objects if one.key == request.key]
        # Two objects with one key: the request was repeated after Stripe had forgotten the key.
        # Money that moved comes first, then money that may still move.
        found.sort(key=lambda one: ("succeeded", "processing", "declined").index(_state(one)))
        return _to_answer(found[0]) if found else None

    async def _retrieve(self, request: Request, reference: str) -> AsyncIterator[PaymentObject]:
        resource = self._intents if isinstance(request, Charge) else self._refunds
        try:
            yield _to_payment_object(await resource.retrieve_async(reference))
        except stripe.InvalidRequestError as error:
            if error.code != "resource_missing":
                raise

    def _find(self, request: Request) -> AsyncIterator[PaymentObject]:
        if isinstance(request, Charge):
            query = f"metadata['reference']:'{request.key}'"
            return _read_our_objects(
                self._intents.search_async({"query": query, "limit": MAX_PAGE_SIZE})
            )
        return _read_our_objects(
            self._refunds.list_async({"payment_intent": request.charge, "limit": MAX_PAGE_SIZE})
        )

    async def records(self, since: datetime, until: datetime) -> AsyncIterator[ProviderRecord]:
        # Stripe counts whole seconds.
        begin, end = int(since.timestamp()), math.ceil(until.timestamp())
        with _convert_errors():
            for resource in (self._intents, self._refunds):
                found = resource.list_async(
                    {"created": {"gte": begin, "lt": end}, "limit": MAX_PAGE_SIZE}
                )
                async for raw in (await found).auto_paging_iter():
                    payment = _to_payment_object_or_none(raw)
                    # A payment without our key may be a refund made in Stripe's dashboard, perhaps
                    # of our charge.
                    if payment is not None and (payment.key or payment.payment_intent):
                        yield _to_record(payment)

    def parse_webhook(self, body: bytes, headers: Mapping[str, str]) -> WebhookEvent | None:
        signature = {name.lower(): value for name, value in headers.items()}.get("stripe-signature")
        if not (signature and signature.isascii() and self._secret):
            raise UnverifiedWebhook("The signature or the secret is missing.")
        try:
            stripe.WebhookSignature.verify_header(
                body, signature, self._secret, MAX_EVENT_AGE_SECONDS
            )
        except (stripe.SignatureVerificationError, UnicodeError, ValueError) as error:
            raise UnverifiedWebhook(type(error).__name__) from None
        try:
            event = msgspec.json.decode(body, type=StripeEvent)
        except (msgspec.DecodeError, RecursionError):
            # Signed, but in another form, such as a "thin" event: it is not about a payment. If we
            # refused it, Stripe would send it again for days.
            return None
        changed = event.data.object
        key = (changed.metadata or {}).get("reference")
        if key is None or changed.object not in ("payment_intent", "refund"):
            return None
        return WebhookEvent(event.id, key, changed.id)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK has no type for it


def _metadata(request: Request) -> dict[str, str]:
    return {"reference": request.key, "order": str(request.order)}


def _to_payment_object(raw: stripe.StripeObject) -> PaymentObject:
    return msgspec.convert(raw.to_dict(), PaymentObject)


def _to_payment_object_or_none(raw: stripe.StripeObject) -> PaymentObject | None:
    """Return a line of a list; an unreadable line is logged and skipped."""
    try:
        return _to_payment_object(raw)
    except msgspec.ValidationError as error:
        log.error("Stripe's object %s is unreadable: %s", getattr(raw, "id", "?"), error)
        return None


async def _read_our_objects(
    listing: Awaitable[ListResponse],
) -> AsyncIterator[PaymentObject]:
    """Yield the objects with a reference of ours, from every page."""
    async for raw in (await listing).auto_paging_iter():
        payment = _to_payment_object(raw)
        if payment.key is not None:
            yield payment


async def _await_answer(call: Awaitable[stripe.StripeObject], request: Request) -> Answer:
    """Await a call that moves money, and return its outcome."""
    # Errors are raised again with our own texts, because the SDK's errors contain whole answers.
    try:
        payment = _to_payment_object(await call)
    except stripe.CardError as error:
        return stripe_errors.convert_card_error(error)
    except stripe.InvalidRequestError as error:
        answer = stripe_errors.convert_request_error(error, request)
        if isinstance(answer, Declined):
            return answer
        raise answer from None
    except stripe.StripeError as error:
        raise stripe_errors.convert_error(error) from None
    except msgspec.ValidationError as error:
        raise OutcomeUnknown(f"unreadable answer: {error}") from None
    return _to_answer(payment)


@contextmanager
def _convert_errors() -> Iterator[None]:
    """Convert errors while reading: they say nothing about any payment."""
    try:
        yield
    except stripe.StripeError as error:
        raise stripe_errors.convert_error(error) from None
    except msgspec.ValidationError as error:
        raise OutcomeUnknown(f"unreadable answer: {error}") from None


def _to_answer(payment: PaymentObject) -> Answer:
    """Return the outcome of a PaymentIntent or a Refund.

    Raises:
        Undecided: it is not decided yet.
    """
    if payment.status == "succeeded":
        return Succeeded(payment.id, payment.moved, payment.currency.upper())
    if _is_final_decline(payment):
        error = payment.last_payment_error or {}
        code, decline_code = error.get("code"), error.get("decline_code")
        texts = (payment.status, payment.failure_reason, code, decline_code)
        code_for_action = "authentication_required" if payment.status == "requires_action" else None
        reason_code = stripe_errors.decline_code(decline_code, code, code_for_action)
        return Declined(": ".join(filter(None, texts)), reason_code)
    raise OutcomeUndecided(payment.status, payment.id)


def _is_final_decline(payment: PaymentObject) -> bool:
    """Return whether no money moved and none will."""
    if payment.object == "refund":
        return payment.status in ("failed", "canceled")
    # Without an error it is being confirmed right now.
    refused = payment.status == "requires_payment_method" and payment.last_payment_error is not None
    # Only the customer could act, but the customer is not asked.
    return refused or payment.status in ("requires_action", "canceled")


def _to_record(payment: PaymentObject) -> ProviderRecord:
    order = (payment.metadata or {}).get("order", "")
    return ProviderRecord(
        kind="refund" if payment.object == "refund" else "charge",
        key=payment.key,
        order=int(order) if order.isdecimal() and len(order) < MAX_ORDER_DIGITS else None,
        reference=payment.id,
        amount=payment.moved if payment.status == "succeeded" else payment.requested,
        currency=payment.currency.upper(),
        state=_state(payment),
        created=datetime.fromtimestamp(payment.created, UTC),
        charge=payment.payment_intent,
    )


def _state(payment: PaymentObject) -> Literal["succeeded", "declined", "processing"]:
    if payment.status == "succeeded":
        return "succeeded"
    return "declined" if _is_final_decline(payment) else "processing"
