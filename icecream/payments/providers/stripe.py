"""Stripe, over its official SDK: a PaymentIntent for a charge, a Refund for a refund."""

import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta

import msgspec
import stripe
from stripe.params import PaymentIntentCreateParams, RefundCreateParams

from icecream import stripe_units
from icecream.payments.providers import stripe_client, stripe_errors, stripe_objects
from icecream.payments.providers.protocol import (
    Answer,
    Charge,
    Declined,
    OutcomeUnknown,
    ProviderRecord,
    Refund,
    Request,
    UnverifiedWebhook,
    WebhookEvent,
)
from icecream.payments.providers.stripe_objects import PaymentObject

log = logging.getLogger(__name__)
DEFAULT_API_URL = "https://api.stripe.com"
# Allows for a clock that is not exact, and prevents that old events are replayed.
MAX_EVENT_AGE_SECONDS = 300
# Stripe's limit for one page of a list.
MAX_PAGE_SIZE = 100

ListResponse = stripe.ListObject[stripe.Refund] | stripe.SearchResultObject[stripe.PaymentIntent]


class StripeProvider:
    """Stripe as a payment provider, or a server at `api` with the same API.

    A customer's method is `pm_...`, or `cus_.../pm_...` if it is saved for a customer of Stripe's.

    Args:
        key: the account's secret key.
        secret: verifies the webhooks; without it, no webhook is accepted.
        timeout: in seconds, for a whole call.
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
        self._http = stripe_client.CheckingClient(api, timeout)
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
            "metadata": stripe_objects.to_metadata(charge),
        }
        if customer:
            parameters["customer"] = customer
        call = self._intents.create_async(parameters, {"idempotency_key": charge.key})
        return await _await_answer(call, charge)

    async def refund(self, refund: Refund) -> Answer:
        parameters: RefundCreateParams = {
            "payment_intent": refund.charge,
            "amount": stripe_units.to_stripe(refund.amount, refund.currency),
            "metadata": stripe_objects.to_metadata(refund),
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
        states = ("succeeded", "processing", "declined")
        found.sort(key=lambda one: states.index(stripe_objects.payment_state(one)))
        return stripe_objects.to_answer(found[0]) if found else None

    async def _retrieve(self, request: Request, reference: str) -> AsyncIterator[PaymentObject]:
        resource = self._intents if isinstance(request, Charge) else self._refunds
        try:
            yield stripe_objects.to_payment_object(await resource.retrieve_async(reference))
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
                    payment = _read_line(raw)
                    # A payment without our key may be a refund made in Stripe's dashboard, perhaps
                    # of our charge.
                    if payment is not None and (payment.key or payment.payment_intent):
                        yield stripe_objects.to_record(payment)

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
        # The SDK accepts any future time, so such an event could be replayed for ever.
        signed_at = next(part[2:] for part in signature.split(",") if part.startswith("t="))
        if int(signed_at) > time.time() + MAX_EVENT_AGE_SECONDS:
            raise UnverifiedWebhook("The signature is from the future.")
        return stripe_objects.to_webhook_event(body)

    async def close(self) -> None:
        await self._http.close_async()


def _read_line(raw: stripe.StripeObject) -> PaymentObject | None:
    """Return a line of a list; an unreadable line is logged and skipped."""
    try:
        return stripe_objects.to_payment_object(raw)
    except msgspec.ValidationError as error:
        log.error("Stripe's object %s is unreadable: %s", getattr(raw, "id", "?"), error)
        return None


async def _read_our_objects(
    listing: Awaitable[ListResponse],
) -> AsyncIterator[PaymentObject]:
    """Yield the objects with a reference of ours, from every page."""
    async for raw in (await listing).auto_paging_iter():
        payment = stripe_objects.to_payment_object(raw)
        if payment.key is not None:
            yield payment


async def _await_answer(call: Awaitable[stripe.StripeObject], request: Request) -> Answer:
    """Await a call that moves money, and return its outcome."""
    # Errors are raised again with our own texts, because the SDK's errors contain whole answers.
    try:
        payment = stripe_objects.to_payment_object(await call)
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
    return stripe_objects.to_answer(payment)


@contextmanager
def _convert_errors() -> Iterator[None]:
    """Convert errors while reading: they say nothing about any payment."""
    try:
        yield
    except stripe.StripeError as error:
        raise stripe_errors.convert_error(error) from None
    except msgspec.ValidationError as error:
        raise OutcomeUnknown(f"unreadable answer: {error}") from None
