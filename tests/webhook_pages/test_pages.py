"""Test the pages for webhooks: own endpoints, secrets, messages, and what can be done."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import pytest

from icecream.tables import WebhookDelivery, WebhookEndpoint
from icecream.webhooks import endpoint_types, endpoints
from tests.conftest import new_user, place
from tests.staff.browsing import Browser, browse, hidden, messages
from tests.webhooks.conftest import Service, subscribe
from tests.webhooks.receivers import receiving

pytestmark = pytest.mark.anyio
LIST = "/webhooks/"
NEW = {"url": "https://shop.example.org/hooks", "description": "Our shop"}


@pytest.fixture(params=[False, True], ids=["shop", "staff"])
async def user(
    request: pytest.FixtureRequest, service: Service, client: httpx.AsyncClient, hashed: str
) -> Browser:
    return await browse(client, await new_user(hashed, admin=request.param))


@pytest.fixture
async def stranger(service: Service, client: httpx.AsyncClient, hashed: str) -> Browser:
    return await browse(client, await new_user(hashed))


async def act(browser: Browser, endpoint: int, step: str, **fields: object) -> httpx.Response:
    """Send a form of the page of an endpoint, and follow its redirect."""
    path = f"{LIST}{endpoint}/"
    key = hidden(await browser.get(LIST), "key")
    answer = await browser.send(path, key=key, step=step, **fields)
    if answer.status_code == 303:
        return await browser.get(answer.headers["location"])
    return answer


def shown_secret(answer: httpx.Response) -> str:
    found = re.search(r'value="(whsec_[^"]*)"', answer.text)
    assert found, answer.text
    return unescape(found[1])


async def kept(endpoint: int) -> WebhookEndpoint:
    row = await WebhookEndpoint.objects().get(WebhookEndpoint.id == endpoint)
    assert row is not None
    return row


async def added(browser: Browser) -> int:
    new = endpoint_types.NewWebhookEndpoint(NEW["url"])
    return (await endpoints.create_endpoint(new, user=browser.user.id)).id


async def test_an_endpoint_is_added_once_and_its_secret_is_shown_once(user: Browser) -> None:
    page = await user.get(LIST)
    assert "None yet." in page.text
    form = NEW | {"key": hidden(page, "key"), "order.paid": "true", "order.failed": "true"}
    first = await user.send(LIST, **form)
    again = await user.send(LIST, **form)
    (endpoint,) = await endpoints.list_endpoints(user.user.id)
    assert (endpoint.url, endpoint.description) == (NEW["url"], NEW["description"])
    assert endpoint.types == ["order.paid", "order.failed"]
    secret = (await kept(endpoint.id)).secret
    # The browser shows the second answer to a double click.
    assert shown_secret(first) == shown_secret(again) == secret
    for path in (LIST, f"{LIST}{endpoint.id}/"):
        shown = (await user.get(path)).text
        assert NEW["url"] in shown
        assert "whsec_" not in shown


async def test_without_a_choice_all_events_are_sent(user: Browser) -> None:
    await user.send(LIST, **NEW, key=hidden(await user.get(LIST), "key"))
    (endpoint,) = await endpoints.list_endpoints(user.user.id)
    assert endpoint.types is None


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "The URL must be a URL that begins with https://."),
        ("ftp://shop.example.org", "The URL must be a URL that begins with https://."),
        ("https://10.0.0.1/", "The URL must be public."),
    ],
)
async def test_a_url_that_is_refused_is_said_and_kept_in_the_form(
    user: Browser, url: str, said: str
) -> None:
    form = {"url": url, "description": "Tried <twice>", "order.paid": "true"}
    refused = await user.send(LIST, **form, key=hidden(await user.get(LIST), "key"))
    assert (refused.status_code, messages(refused)) == (400, [said])
    assert 'value="Tried &lt;twice&gt;"' in refused.text
    assert 'name="order.paid" value="true" checked' in refused.text
    assert await endpoints.list_endpoints(user.user.id) == []


async def test_the_eleventh_endpoint_is_refused(user: Browser) -> None:
    for _ in range(endpoints.MAX_ENDPOINTS_PER_USER):
        await added(user)
    refused = await user.send(LIST, **NEW, key=hidden(await user.get(LIST), "key"))
    assert refused.status_code == 409
    assert "10" in messages(refused)[0]


async def test_the_endpoint_of_another_user_does_not_exist(
    user: Browser, stranger: Browser
) -> None:
    endpoint = await added(stranger)
    assert (await user.get(f"{LIST}{endpoint}/")).status_code == 404
    for step in ("test", "secret", "disable", "delete", "again", "period"):
        times = {"since": "2025-05-13T00:00", "until": "2025-05-14T00:00"}
        fields = {"overlap_hours": "1", "delivery": "1"} | times
        answer = await act(user, endpoint, step, **fields)
        assert answer.status_code in (400, 404), step
    assert NEW["url"] not in (await user.get(LIST)).text
    assert (await endpoints.get_endpoint(endpoint, user=stranger.user.id)).enabled
    assert await WebhookDelivery.count() == 0


async def test_a_form_needs_the_token_of_the_session(user: Browser) -> None:
    endpoint = await added(user)
    for path in (LIST, f"{LIST}{endpoint}/"):
        answer = await user.request("POST", path, data=NEW | {"key": "k", "step": "delete"})
        assert answer.status_code == 403
    assert len(await endpoints.list_endpoints(user.user.id)) == 1


async def test_a_secret_is_replaced_once_for_a_double_click(user: Browser) -> None:
    endpoint = await added(user)
    old = (await kept(endpoint)).secret
    form = {"key": hidden(await user.get(LIST), "key"), "step": "secret", "overlap_hours": "24"}
    answers = [await user.send(f"{LIST}{endpoint}/", **form) for _ in range(2)]
    now = await kept(endpoint)
    assert now.previous_secret == old != now.secret
    assert [shown_secret(answer) for answer in answers] == [now.secret] * 2
    refused = await act(user, endpoint, "secret", overlap_hours="169")
    assert messages(refused) == ["The number of hours must be a whole number from 0 to 168."]
    assert (await kept(endpoint)).secret == now.secret


async def test_messages_are_listed_with_their_answers_and_sent_again(
    user: Browser, service: Service, flavor: int
) -> None:
    async with receiving(lambda one: 200 if one.order else 500) as receiver:
        receiver.answer = b"<b>no</b>"
        endpoint = await subscribe(user, receiver)
        order = (await place(user.user.id, {flavor: 1})).order
        tested = await act(user, endpoint, "test")
        assert messages(tested) == [
            "A test message is on its way. Its answer is in the list in a moment."
        ]
        await service.deliver()
        page = (await user.get(f"{LIST}{endpoint}/")).text
        assert page.index("order.placed") < page.index("webhook.test")
        assert f"/orders/{order}/" in page
        assert "&lt;b&gt;no&lt;/b&gt;" in page
        only = (await user.get(f"{LIST}{endpoint}/?state=succeeded")).text
        assert ("order.placed" in only, "webhook.test" in only) == (True, False)
        # The order's message is the first one in the list.
        delivery = re.findall(r'name="delivery" value="(\d+)"', only)[0]
        again = await act(user, endpoint, "again", delivery=delivery)
        assert messages(again) == ["The message is sent again."]
        now = datetime.now(UTC)
        times = {"since": now - timedelta(hours=1), "until": now + timedelta(hours=1)}
        fields = {name: f"{at:%Y-%m-%dT%H:%M}" for name, at in times.items()}
        period = await act(user, endpoint, "period", **fields)
        assert "sent again" in messages(period)[0]
        await service.deliver()
        assert [one.order for one in receiver.accepted].count(order) == 3


async def test_the_log_has_pages(user: Browser, service: Service) -> None:
    endpoint = await added(user)
    for _ in range(3):
        await act(user, endpoint, "test")
    ids = [row["id"] for row in await WebhookDelivery.select(WebhookDelivery.id)]
    page = (await user.get(f"{LIST}{endpoint}/?before={max(ids)}")).text
    assert re.findall(r'name="delivery" value="(\d+)"', page) == [
        str(one) for one in sorted(ids)[-2::-1]
    ]
    for query in ("before=0", "before=9999999999999999999", "state=lost", "page=2"):
        assert (await user.get(f"{LIST}{endpoint}/?{query}")).status_code == 400, query


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (("", "2025-05-14T00:00"), "The start must be a day and a time."),
        (("2025-05-14T00:00", "2025-05-13T00:00"), "The end must be after since."),
        (("0001-01-01T00:00", "yesterday"), "The end must be a day and a time."),
    ],
)
async def test_a_period_that_is_none_is_refused(
    user: Browser, times: tuple[str, str], said: str
) -> None:
    endpoint = await added(user)
    answer = await act(user, endpoint, "period", since=times[0], until=times[1])
    assert (answer.status_code, messages(answer)) == (400, [said])


async def test_an_endpoint_is_disabled_enabled_and_deleted(user: Browser) -> None:
    endpoint = await added(user)
    disabled = await act(user, endpoint, "disable")
    assert messages(disabled) == ["The endpoint is disabled."]
    assert endpoints.DISABLED_BY_USER in disabled.text
    tested = await act(user, endpoint, "test")
    assert tested.status_code == 409
    enabled = await act(user, endpoint, "enable")
    assert "enabled" in messages(enabled)[0]
    assert (await endpoints.get_endpoint(endpoint, user=user.user.id)).enabled
    unknown = await act(user, endpoint, "paint")
    assert messages(unknown) == ["Choose one of the buttons."]
    deleted = await act(user, endpoint, "delete")
    assert messages(deleted) == [f"Endpoint {endpoint} is deleted."]
    assert await endpoints.list_endpoints(user.user.id) == []
