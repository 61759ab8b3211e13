"""A payment provider for experiments: the part of Stripe's API that we use, with its faults."""

from icecream.sandbox.faults import BY_AMOUNT, KINDS, Faults
from icecream.sandbox.http import Desk, create
from icecream.sandbox.server import run
from icecream.sandbox.state import Bank
from icecream.sandbox.webhooks import Webhooks

__all__ = ["BY_AMOUNT", "KINDS", "Bank", "Desk", "Faults", "Webhooks", "create", "run"]
