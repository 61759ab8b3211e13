"""Payment providers seen from our side: the protocol, and one file for each provider."""

from icecream.gateway.protocol import (
    Answer,
    Charge,
    Declined,
    Gateway,
    Later,
    Notice,
    Record,
    Refund,
    Request,
    Succeeded,
    Unknown,
    Unsigned,
)
from icecream.gateway.simulated import Simulated
from icecream.settings import Settings

__all__ = [
    "Answer",
    "Charge",
    "Declined",
    "Gateway",
    "Later",
    "Notice",
    "Record",
    "Refund",
    "Request",
    "Simulated",
    "Succeeded",
    "Unknown",
    "Unsigned",
    "chosen",
]


def chosen(current: Settings) -> Gateway:
    """The provider that the settings name."""
    return Simulated(current.payment_delays, current.payment_failure_rate)
