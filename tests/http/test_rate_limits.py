"""Test rate limits."""

import asyncio
import re
from contextlib import AsyncExitStack

import httpx
import limits
import pytest

from icecream import app, settings
from icecream.http import login_counts, openapi, rate_limits
from icecream.runtime import passwords
from icecream.settings import signing_keys
from tests.conftest import PASSWORD, Caller, records_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = settings.parse_settings(
        {
            "ICECREAM_RATE_LIMIT": "3/minute",
            "ICECREAM_SECRET_KEY": signing_keys.load_keys(settings.load())[0],
        }
    )
    monkeypatch.setattr(settings, "load", lambda: allowed)
    rate_limits.request_counts.clear()


async def test_every_response_has_the_rate_limit_and_what_is_left_of_it(customer: Caller) -> None:
    answer = await customer.get("/api/flavors/")
    assert answer.headers["ratelimit-policy"] == '"default";q=6000;w=60'
    assert answer.headers["ratelimit"].startswith('"default";r=59')


async def test_too_many_requests_are_429_with_the_time_to_wait(
    strict: None, customer: Caller, stranger: Caller
) -> None:
    answers = [await customer.get("/api/flavors/") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["code"] == "quota-exceeded"
    assert 1 <= int(answers[3].headers["retry-after"]) <= 60
    assert answers[3].headers["ratelimit"].startswith('"default";r=0;t=')
    assert (await stranger.get("/api/flavors/")).status_code == 200


async def test_requests_with_bad_tokens_count_by_address(
    strict: None, client: httpx.AsyncClient
) -> None:
    headers = {"Authorization": "Bearer x"}
    statuses = [(await client.get("/api/orders/", headers=headers)).status_code for _ in range(4)]
    assert statuses == [401, 401, 401, 429]


def test_requests_are_counted_by_caller_until_their_window_ends() -> None:
    counts = rate_limits.RequestCounts()
    assert [counts.add(caller, 60)[0] for caller in ("a", "b", "a")] == [1, 1, 2]
    assert 59 < counts.add("a", 60)[1] <= 60
    # These windows end at once.
    assert [counts.add("c", 0)[0] for _ in range(2)] == [1, 1]


def test_ended_windows_are_removed() -> None:
    counts = rate_limits.RequestCounts()
    for n in range(100):
        counts.add(f"caller {n}", 0)
    assert len(counts._windows) == 1


@pytest.mark.parametrize("path", ["/schema", "/admin/", "/admin/assets/nothing.js", "/"])
async def test_every_path_is_counted(strict: None, client: httpx.AsyncClient, path: str) -> None:
    answers = [await client.get(path) for _ in range(4)]
    assert {answer.status_code for answer in answers[:3]} <= {200, 303, 404}
    assert answers[0].headers["ratelimit-policy"].startswith('"default"')
    assert answers[3].status_code == 429


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/health/ready/"])
async def test_health_is_never_refused(strict: None, client: httpx.AsyncClient, path: str) -> None:
    for _ in range(4):
        await client.get("/")
    statuses = {(await client.get(path)).status_code for _ in range(6)}
    assert statuses == {200}


async def test_a_sign_in_that_is_refused_by_a_full_queue_is_not_counted(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passwords, "MAX_WAITING", 0)
    body = {"username": "patient", "password": "right or wrong"}
    statuses = [(await client.post("/api/token/", json=body)).status_code for _ in range(12)]
    assert set(statuses) == {503}


async def test_password_guessing_is_limited_for_one_name_and_address(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "LOGIN_ATTEMPT_LIMITS", limits.parse_many("2/minute"))
    body = {"username": "guessed at", "password": "wrong password"}
    statuses = [(await client.post("/api/token/", json=body)).status_code for _ in range(3)]
    assert statuses == [401, 401, 429]
    together = {"username": "guessed at by many at once", "password": "wrong password"}
    answers = await asyncio.gather(*(client.post("/api/token/", json=together) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [401, 401, 429, 429, 429, 429]
    other = {"username": "another", "password": "wrong password"}
    assert (await client.post("/api/token/", json=other)).status_code == 401


async def test_the_wait_grows_with_the_attempts_and_ends_with_a_right_password(
    client: httpx.AsyncClient, customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing = limits.parse_many("2/second; 3/minute; 4/hour")
    monkeypatch.setattr(rate_limits, "LOGIN_ATTEMPT_LIMITS", growing)
    name = customer.user.username

    async def attempt(password: str = "wrong password") -> tuple[int, int]:
        body = {"username": name, "password": password}
        answer = await client.post("/api/token/", json=body)
        return answer.status_code, int(answer.headers.get("retry-after", 0))

    async def attempt_until_refused() -> tuple[int, int]:
        """Return the number of attempts whose password was checked, and the wait."""
        for number in range(10):
            status, wait = await attempt()
            if status == 429:
                return number, wait
        raise AssertionError("no attempt was refused")

    checked, wait = await attempt_until_refused()
    assert (checked, wait) == (2, 1)
    await asyncio.sleep(1.1)
    more, wait = await attempt_until_refused()
    assert more == 1
    assert 1 < wait <= 60
    # The attempts that were refused do not count for the longer wait.
    limiter, caller = login_counts.in_memory().limiter, ("login", rate_limits._digest(name))
    assert (await limiter.get_window_stats(growing[2], *caller, "127.0.0.1")).remaining == 1
    for limit in growing[:2]:
        await limiter.clear(limit, *caller, "127.0.0.1")
    assert await attempt(PASSWORD) == (200, 0)
    assert (await attempt_until_refused())[0] == 2


def from_address(address: str) -> httpx.AsyncClient:
    site = httpx.ASGITransport(app.create(), client=(address, 1))
    return httpx.AsyncClient(transport=site, base_url="http://test")


async def sign_in(client: httpx.AsyncClient, name: str, password: str = "wrong password") -> int:
    body = {"username": name, "password": password}
    return (await client.post("/api/token/", json=body)).status_code


async def test_one_address_cannot_try_many_names(customer: Caller) -> None:
    async with from_address("2001:db8::1") as one, from_address("2001:db8::2:1") as neighbor:
        statuses = [await sign_in(one, f"name {n}") for n in range(29)]
        # A right password is not counted, nor does it take failures out of the count.
        statuses += [await sign_in(one, customer.user.username, PASSWORD) for _ in range(3)]
        assert statuses == [401] * 29 + [200] * 3
        assert [await sign_in(neighbor, f"name {n}") for n in range(3)] == [401, 429, 429]
    async with from_address("2001:db8:0:1::1") as other:
        assert await sign_in(other, "name 1") == 401


async def test_others_at_the_address_do_not_make_the_wait_of_a_user_longer(
    customer: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "FAILED_LOGIN_LIMIT", limits.parse("3/second"))
    monkeypatch.setattr(rate_limits, "LOGIN_ATTEMPT_LIMITS", limits.parse_many("4/hour"))
    async with from_address("198.51.100.77") as shared:
        assert [await sign_in(shared, f"name {n}") for n in range(4)] == [401] * 3 + [429]
        name = customer.user.username
        assert [await sign_in(shared, name, PASSWORD) for _ in range(9)] == [429] * 9
        await asyncio.sleep(1.1)
        assert await sign_in(shared, name, PASSWORD) == 200


def test_the_wait_after_wrong_passwords_is_as_documented() -> None:
    found = [(one.amount, one.get_expiry()) for one in rate_limits.LOGIN_ATTEMPT_LIMITS]
    assert found == [(10, 60), (20, 600), (40, 3600)]


async def test_the_header_fields_of_each_limit_are_documented(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = openapi.expand((await client.get("/schema/openapi.json")).json())
    said = document["paths"]["/api/token"]["post"]["responses"]["429"]["headers"]
    once = limits.parse("1/minute")
    for name, limit in (("LOGIN_ATTEMPT_LIMITS", [once]), ("FAILED_LOGIN_LIMIT", once)):
        with monkeypatch.context() as context:
            context.setattr(rate_limits, name, limit)
            body = {"username": name, "password": "wrong password"}
            answers = [await client.post("/api/token/", json=body) for _ in range(2)]
        assert answers[1].status_code == 429
        for field in ("RateLimit", "RateLimit-Policy"):
            assert re.search(said[field]["schema"]["pattern"], answers[1].headers[field]), field
        login_counts.in_memory.cache_clear()


# The queue for hashing is in the process; the database answers only for the names.
@pytest.mark.only("sqlite")
async def test_many_wrong_sign_ins_do_not_stop_a_right_one(customer: Caller) -> None:
    async with AsyncExitStack() as stack:
        hostile = [
            await stack.enter_async_context(from_address(f"198.51.100.{n}")) for n in range(20)
        ]
        for client in hostile:
            assert await sign_in(client, "a name") == 401
        attack = asyncio.gather(
            *(sign_in(client, f"name {n}") for client in hostile for n in range(25))
        )
        await asyncio.sleep(0)
        honest = await stack.enter_async_context(from_address("192.0.2.1"))
        assert await sign_in(honest, customer.user.username, PASSWORD) == 200
        assert set(await attack) <= {401, 429, 503}


async def test_a_proxy_that_is_not_trusted_is_reported_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limits, "_has_warned", False)
    async with from_address("192.0.2.9") as proxy:
        proxy.headers["X-Forwarded-For"] = "203.0.113.5"
        for _ in range(2):
            assert await sign_in(proxy, "a name") == 401
    (record,) = records_of(caplog, rate_limits.log)
    assert "192.0.2.9 sends X-Forwarded-For" in record.getMessage()


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        # As some proxies report it.
        ("192.0.2.1:4711", "192.0.2.1:4711"),
        ("[2001:db8::1]:4711", "[2001:db8::1]:4711"),
        ("unknown", "unknown"),
    ],
)
def test_a_client_is_counted_by_its_network(address: str, network: str) -> None:
    assert rate_limits.client_network({"client": (address, 1)}) == network
