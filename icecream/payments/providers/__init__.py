"""The interface to payment providers: the protocol, and one module for each provider."""

from icecream.payments.providers.protocol import (
    NO_ANSWER,
    Answer,
    Charge,
    Declined,
    OutcomeUndecided,
    OutcomeUnknown,
    PaymentProvider,
    ProviderRecord,
    Refund,
    Request,
    RequestRefused,
    RetryLater,
    Succeeded,
    UnverifiedWebhook,
    WebhookEvent,
)
from icecream.payments.providers.simulated import SimulatedProvider
from icecream.settings import Settings

__all__ = [
    "NO_ANSWER",
    "Answer",
    "Charge",
    "Declined",
    "OutcomeUndecided",
    "OutcomeUnknown",
    "PaymentProvider",
    "ProviderRecord",
    "Refund",
    "Request",
    "RequestRefused",
    "RetryLater",
    "SimulatedProvider",
    "Succeeded",
    "UnverifiedWebhook",
    "WebhookEvent",
    "create_provider",
]


def create_provider(current: Settings) -> PaymentProvider:
    """Return the provider that the settings name."""
    if current.payment_provider == "stripe":
        # The SDK is an optional dependency, and its import takes a while.
        from icecream.payments.providers.stripe import StripeProvider

        return StripeProvider(
            current.stripe_api_key or "",
            secret=current.stripe_webhook_secret,
            api=current.stripe_api_base,
            timeout=current.payment_timeout,
        )
    return SimulatedProvider(current.payment_delays, current.payment_failure_rate)
