"""The interface to payment providers: the protocol, and one module for each provider."""

from icecream.payments.providers.protocol import (
    NO_ANSWER,
    Answer,
    Charge,
    Declined,
    Gateway,
    OutcomeUndecided,
    OutcomeUnknown,
    ProviderRecord,
    Refund,
    Request,
    RequestRefused,
    RetryLater,
    Succeeded,
    UnverifiedWebhook,
    WebhookEvent,
)
from icecream.payments.providers.simulated import SimulatedGateway
from icecream.settings import Settings

__all__ = [
    "NO_ANSWER",
    "Answer",
    "Charge",
    "Declined",
    "Gateway",
    "OutcomeUndecided",
    "OutcomeUnknown",
    "ProviderRecord",
    "Refund",
    "Request",
    "RequestRefused",
    "RetryLater",
    "SimulatedGateway",
    "Succeeded",
    "UnverifiedWebhook",
    "WebhookEvent",
    "create_gateway",
]


def create_gateway(current: Settings) -> Gateway:
    """Return the provider that the settings name."""
    if current.payment_provider == "stripe":
        # The SDK is an optional dependency, and its import takes a while.
        from icecream.payments.providers.stripe import StripeGateway

        return StripeGateway(
            current.stripe_api_key or "",
            secret=current.stripe_webhook_secret,
            api=current.stripe_api_base,
            timeout=current.payment_timeout,
        )
    return SimulatedGateway(current.payment_delays, current.payment_failure_rate)
