"""The interface to payment providers: the protocol, and one module for each provider."""

from icecream.payments.providers.protocol import (
    NO_ANSWER,
    Answer,
    Charge,
    Declined,
    Gateway,
    Later,
    Notice,
    Record,
    Refund,
    Refused,
    Request,
    Succeeded,
    Undecided,
    Unknown,
    Unsigned,
)
from icecream.payments.providers.simulated import Simulated
from icecream.settings import Settings

__all__ = [
    "NO_ANSWER",
    "Answer",
    "Charge",
    "Declined",
    "Gateway",
    "Later",
    "Notice",
    "Record",
    "Refund",
    "Refused",
    "Request",
    "Simulated",
    "Succeeded",
    "Undecided",
    "Unknown",
    "Unsigned",
    "chosen",
]


def chosen(current: Settings) -> Gateway:
    """Return the provider that the settings name."""
    if current.payment_provider == "stripe":
        # The SDK is an optional dependency, and its import takes a while.
        from icecream.payments.providers.stripe import Stripe

        return Stripe(
            current.stripe_api_key or "",
            secret=current.stripe_webhook_secret,
            api=current.stripe_api_base,
            timeout=current.payment_timeout,
        )
    return Simulated(current.payment_delays, current.payment_failure_rate)
