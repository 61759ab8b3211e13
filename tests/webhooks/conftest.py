"""A deliverer in this process, and endpoints for the receivers of a test."""

import os
from collections.abc import AsyncIterator

import pytest

from icecream import settings
from icecream.tables import WebhookDelivery, WebhookEndpoint
from icecream.webhooks import endpoint_types, endpoints, queueing
from icecream.webhooks.delivering import Deliverer
from tests.conftest import Caller, publish_all
from tests.webhooks.receivers import Receiver

LOCAL = ("127.0.0.0/8",)


class Service:
    """The parts of a worker that deliver webhooks; a test runs each step."""

    def __init__(self) -> None:
        self.deliverer = Deliverer(LOCAL)

    async def deliver(self) -> None:
        """Queue all new events, and send what is due until nothing is due any more."""
        await publish_all()
        while await queueing.queue_events():
            pass
        await self.send_due()

    async def send_due(self) -> None:
        while True:
            await self.deliverer.sweep()
            if not self.deliverer._running:
                return
            await self.deliverer.wait_until_idle()

    async def make_due(self) -> None:
        """Let the time pass until all pending deliveries are due."""
        past = WebhookEndpoint.created_at
        await WebhookEndpoint.update({WebhookEndpoint.next_round_at: past}).where(
            WebhookEndpoint.deleted_at.is_null()
        )
        await WebhookDelivery.update({WebhookDelivery.due_at: WebhookDelivery.created_at}).where(
            WebhookDelivery.due_at.is_not_null()
        )


@pytest.fixture
async def service(opened: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Service]:
    """No endpoint of an earlier test is left, and addresses of this machine are allowed."""
    local = {"ICECREAM_WEBHOOK_PRIVATE_NETWORKS": ",".join(LOCAL)}
    loaded = settings.parse_settings(dict(os.environ) | local)
    monkeypatch.setattr(settings, "load", lambda: loaded)
    await WebhookDelivery.delete(force=True)
    await WebhookEndpoint.delete(force=True)
    service = Service()
    yield service
    await service.deliverer.close(0)
    await WebhookDelivery.delete(force=True)
    await WebhookEndpoint.delete(force=True)


async def subscribe(caller: Caller, receiver: Receiver, types: list[str] | None = None) -> int:
    """Create an endpoint for a receiver, which then verifies with its secret."""
    new = endpoint_types.NewWebhookEndpoint(receiver.url, types=types)
    created = await endpoints.create_endpoint(new, user=caller.user.id)
    receiver.secrets = [created.secret]
    return created.id
