"""Test webhook endpoints over HTTP: each account manages its own, and a secret is shown once."""

import logging
import os
from typing import Any

import pytest

from icecream import settings
from icecream.runtime.logs import security
from icecream.tables import WebhookEndpoint
from icecream.webhooks import endpoints
from tests.conftest import Caller, records_of

pytestmark = pytest.mark.anyio
URL = "https://shop.example.org/webhooks"


async def create(caller: Caller, **fields: Any) -> dict[str, Any]:
    answer = await caller.post("/api/webhooks/", {"url": URL} | fields)
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def test_the_secret_is_shown_only_when_an_endpoint_is_created(customer: Caller) -> None:
    created = await create(customer, description="Our shop", types=["order.paid", "order.paid"])
    assert created.pop("secret").startswith("whsec_")
    assert created["enabled"]
    assert created["types"] == ["order.paid"]
    (listed,) = (await customer.get("/api/webhooks/")).json()
    assert listed == created
    assert (await customer.get(f"/api/webhooks/{created['id']}/")).json() == created


async def test_an_endpoint_belongs_to_its_account(customer: Caller, stranger: Caller) -> None:
    path = f"/api/webhooks/{(await create(customer))['id']}/"
    assert (await stranger.get("/api/webhooks/")).json() == []
    for method, sub, body in (
        ("GET", "", None),
        ("PATCH", "", {"enabled": False}),
        ("DELETE", "", None),
        ("POST", "rotate/", {"overlap_hours": 0}),
    ):
        answer = await stranger.request(method, path + sub, json=body)
        assert answer.status_code == 404, (method, sub)
    assert (await customer.get(path)).json()["enabled"]


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example.org/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://10.0.0.7:8443/x",
        "https://169.254.169.254/latest/meta-data",
        "https://user:password@shop.example.org/",
        "https://shop.example.org/#part",
        "https://shop.example.org:99999/",
        "https://[::1/",
        "https://shöp.example.org/",
        "ftp://shop.example.org/",
        "https://",
        f"https://shop.example.org/{'x' * 2000}",
    ],
)
async def test_a_url_that_is_not_allowed_is_refused(customer: Caller, url: str) -> None:
    answer = await customer.post("/api/webhooks/", {"url": url})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == "/url"
    assert (await customer.get("/api/webhooks/")).json() == []


async def test_an_unknown_type_is_refused(customer: Caller) -> None:
    answer = await customer.post("/api/webhooks/", {"url": URL, "types": ["order.payed"]})
    assert answer.json()["errors"][0]["pointer"] == "/types"


async def test_http_is_allowed_only_with_a_setting(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {"ICECREAM_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.0/8, 10.0.0.0/8"}
    loaded = settings.parse_settings(dict(os.environ) | networks)
    monkeypatch.setattr(settings, "load", lambda: loaded)
    assert await create(customer, url="http://10.1.2.3:8080/hook")
    answer = await customer.post("/api/webhooks/", {"url": "http://192.168.1.1/"})
    assert answer.status_code == 400


def test_a_setting_that_is_no_network_stops_the_start() -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_WEBHOOK_PRIVATE_NETWORKS"):
        settings.parse_settings({"ICECREAM_WEBHOOK_PRIVATE_NETWORKS": "intranet"})


async def test_the_number_of_endpoints_is_limited(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS_PER_USER", 2)
    first = await create(customer)
    await create(customer)
    answer = await customer.post("/api/webhooks/", {"url": URL})
    assert (answer.status_code, answer.json()["code"]) == (409, "too-many-webhooks")
    assert (await customer.request("DELETE", f"/api/webhooks/{first['id']}/")).status_code == 204
    assert (await customer.get(f"/api/webhooks/{first['id']}/")).status_code == 404
    await create(customer)


async def test_an_endpoint_is_edited_disabled_and_enabled(customer: Caller) -> None:
    created = await create(customer)
    path = f"/api/webhooks/{created['id']}/"
    edit = {"url": f"{URL}/2", "types": ["order.failed"], "description": "x", "enabled": False}
    edited = (await customer.request("PATCH", path, json=edit)).json()
    assert {name: edited[name] for name in edit} == edit
    assert (edited["disabled_reason"], edited["disabled_at"] is None) == (
        endpoints.DISABLED_BY_USER,
        False,
    )
    edit = {"types": None, "enabled": True}
    edited = (await customer.request("PATCH", path, json=edit)).json()
    assert (edited["types"], edited["enabled"], edited["disabled_at"]) == (None, True, None)
    assert edited["url"] == f"{URL}/2"
    answer = await customer.request("PATCH", path, json={"url": "https://127.0.0.1/"})
    assert answer.status_code == 400


async def test_a_rotated_secret_is_valid_beside_the_new_one_for_the_overlap(
    customer: Caller,
) -> None:
    created = await create(customer)
    path = f"/api/webhooks/{created['id']}/rotate/"
    rotated = (await customer.post(path, {"overlap_hours": 24})).json()
    assert rotated["secret"] != created["secret"]
    row = await WebhookEndpoint.objects().get(WebhookEndpoint.id == created["id"])
    assert row is not None
    assert (row.secret, row.previous_secret) == (rotated["secret"], created["secret"])
    assert rotated["previous_secret_until"]
    rotated = (await customer.post(path, {"overlap_hours": 0})).json()
    assert rotated["previous_secret_until"] is None
    await row.refresh()
    assert row.secret == rotated["secret"]
    assert row.previous_secret is None


async def test_changes_of_endpoints_are_security_events(
    customer: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    created = await create(customer)
    await customer.post(f"/api/webhooks/{created['id']}/rotate/", {"overlap_hours": 0})
    await customer.request("DELETE", f"/api/webhooks/{created['id']}/")
    events = [vars(one) for one in records_of(caplog, security.log)]
    assert [(one["msg"], one["endpoint"], one["by"]) for one in events] == [
        (f"webhook-endpoint-{event}", created["id"], customer.user.id)
        for event in ("created", "secret-rotated", "deleted")
    ]
    assert events[0]["host"] == "shop.example.org"
