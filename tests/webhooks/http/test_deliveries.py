"""Test the log of deliveries, test messages and replays over HTTP."""

from typing import Any

import pytest

from icecream.tables import WebhookDelivery
from tests.conftest import Caller
from tests.webhooks.http.test_endpoints import create

pytestmark = pytest.mark.anyio


async def test_the_log_has_pages(customer: Caller) -> None:
    path = f"/api/webhooks/{(await create(customer))['id']}"
    sent = [(await customer.post(f"{path}/test/")).json()["id"] for _ in range(3)]
    page = await customer.get(f"{path}/deliveries/?limit=2")
    assert [one["id"] for one in page.json()] == sent[:0:-1]
    link = page.headers["link"].split(">")[0].strip("<")
    assert [one["id"] for one in (await customer.get(link)).json()] == sent[:1]
    assert len((await customer.get(f"{path}/deliveries/")).json()) == 3
    assert (await customer.get(f"{path}/deliveries/?state=failed")).json() == []
    assert (await customer.get(f"{path}/deliveries/?state=lost")).status_code == 400
    await WebhookDelivery.delete(force=True)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/since"),
        ({"since": "2025-05-13T10:22:05Z"}, "/until"),
        ({"since": "2025-05-13T10:22:05Z", "until": "2025-05-13T10:22:05Z"}, "/until"),
        ({"since": "2025-05-13", "until": "2025-05-13T10:22:05Z"}, "/since"),
        ({"delivery": 1, "until": "2025-05-13T10:22:05Z"}, "/delivery"),
        ({"delivery": 0}, "/delivery"),
        ({"since": "0001-01-01T00:00:00+12:00", "until": "2025-05-13T10:22:05Z"}, "/since"),
    ],
)
async def test_a_replay_that_is_not_clear_is_refused(
    customer: Caller, body: dict[str, Any], pointer: str
) -> None:
    path = f"/api/webhooks/{(await create(customer))['id']}/replay/"
    answer = await customer.post(path, body)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_replay_says_how_many_messages_it_queued(customer: Caller) -> None:
    path = f"/api/webhooks/{(await create(customer))['id']}"
    sent = (await customer.post(f"{path}/test/")).json()
    answer = await customer.post(f"{path}/replay/", {"delivery": sent["id"]})
    assert (answer.status_code, answer.json()) == (202, {"queued": 1})
    first, second = (await customer.get(f"{path}/deliveries/")).json()
    assert first["message"] == second["message"] == sent["message"]
    await WebhookDelivery.delete(force=True)


async def test_a_disabled_endpoint_gets_no_test_message(customer: Caller) -> None:
    path = f"/api/webhooks/{(await create(customer))['id']}"
    await customer.request("PATCH", f"{path}/", json={"enabled": False})
    answer = await customer.post(f"{path}/test/")
    assert (answer.status_code, answer.json()["code"]) == (409, "webhook-disabled")
