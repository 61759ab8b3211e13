"""A payment provider for tests and experiments: a part of Stripe's API, with faults."""

from icecream.sandbox.faults import FAULT_BY_DIGITS, FAULTS, Faults
from icecream.sandbox.http import RequestHandler, create_app
from icecream.sandbox.server import run
from icecream.sandbox.state import Bank
from icecream.sandbox.webhooks import Webhooks

__all__ = [
    "FAULTS",
    "FAULT_BY_DIGITS",
    "Bank",
    "Faults",
    "RequestHandler",
    "Webhooks",
    "create_app",
    "run",
]
