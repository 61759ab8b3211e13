"""Test the service behind real proxies with the configurations in `deploy/`."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import httpx
import pytest

from tests import servers
from tests.conftest import ADMIN_PASSWORD, METRICS_HEADERS, tool
from tests.peers import proxies
from tests.processes import PATIENCE, Shop, until

NAMES = ["nginx", "haproxy", "caddy"]
pytestmark = [pytest.mark.needs("openssl"), pytest.mark.only("sqlite")]
PAGES = ["/", "/problems", "/schema", "/schema/redoc", "/sign-in/"]


class Place(NamedTuple):
    """A service with a prefix or without one, and the ports of the proxies in front of it."""

    shop: Shop
    prefix: str
    ports: dict[str, int]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> proxies.Certificate:
    return proxies.certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module", params=["", "/ice"], ids=["root", "prefix"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    ports = {name: servers.free_port() for name in NAMES}
    settings = {
        # Cookies do not depend on the port, so one address works for all proxies.
        "ICECREAM_PUBLIC_URL": f"https://127.0.0.1:{ports['nginx']}{request.param}",
        "ICECREAM_TRUSTED_PROXIES": "127.0.0.1",
        "ICECREAM_PAYMENT_FAILURE_RATE": "0",
    }
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite", **settings) as shop:
        shop.serve()
        shop.sign_in("admin", ADMIN_PASSWORD)
        yield Place(shop, request.param, ports)


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=pytest.mark.needs(name)) for name in NAMES]
)
def client(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: proxies.Certificate,
    place: Place,
) -> Iterator[httpx.Client]:
    """Yield an admin's client that connects through a proxy."""
    name: str = request.param
    port, folder = place.ports[name], tmp_path_factory.mktemp(name) / "run"
    with (
        proxies.proxy(name, folder, port, place.shop.port, certificate.folder),
        httpx.Client(
            base_url=f"https://127.0.0.1:{port}{place.prefix}",
            verify=certificate.context,
            timeout=PATIENCE,
            headers={"Authorization": place.shop.http.headers["Authorization"]},
        ) as client,
    ):
        until(lambda: client.get("/health/live").status_code == 200, f"{name} reaches the service")
        yield client


def test_pages_and_head_requests_pass_the_proxy(client: httpx.Client) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["strict-transport-security"]
        head = client.head(path)
        assert (head.status_code, head.content) == (200, b"")


def test_staff_sign_in_on_the_page_for_it(
    client: httpx.Client, place: Place, certificate: proxies.Certificate
) -> None:
    with httpx.Client(base_url=client.base_url, verify=certificate.context) as staff:
        away = staff.get("/dashboard/?period=7d")
        assert away.status_code == 303
        wanted = f"{place.prefix}/dashboard/%3Fperiod%3D7d"
        assert away.headers["location"] == f"{place.prefix}/sign-in/?next={wanted}"
        fields = {"username": "admin", "password": ADMIN_PASSWORD}
        for origin, status in (("https://evil.example", 403), (str(staff.base_url), 303)):
            headers = {"Origin": origin.removesuffix("/").removesuffix(place.prefix)}
            answer = staff.post("/sign-in/", data=fields, headers=headers)
            assert answer.status_code == status
        assert answer.headers["location"] == f"{place.prefix}/dashboard/"
        assert "Latest orders" in staff.get("/dashboard/").text


def test_staff_sign_in_to_the_admin_and_the_dashboard(
    client: httpx.Client, place: Place, certificate: proxies.Certificate
) -> None:
    with httpx.Client(base_url=client.base_url, verify=certificate.context) as staff:
        assert staff.get("/admin").headers["location"] == f"{place.prefix}/admin/"
        assert staff.get("/admin/api/user/").status_code == 401
        answer = staff.post(
            "/admin/public/login/",
            json={"username": "admin", "password": ADMIN_PASSWORD},
            headers={"X-CSRFToken": staff.cookies["csrftoken"], "Origin": f"{staff.base_url}"},
        )
        answer.raise_for_status()
        cookie = answer.headers["set-cookie"]
        assert "Secure" in cookie
        assert f"Path={place.prefix or '/'};" in cookie
        assert staff.get("/admin/api/user/").json()["username"] == "admin"
        assert "Latest orders" in staff.get("/dashboard/").text
        with staff.stream("GET", "/dashboard/live") as stream:
            assert next(stream.iter_text()).startswith("retry:")


def test_the_link_of_a_page_leads_to_the_next_page(client: httpx.Client, place: Place) -> None:
    for _ in range(2):
        place.shop.order()
    page = client.get("/api/orders/?limit=1")
    link = page.links["next"]["url"]
    assert link.startswith(f"{place.prefix}/api/orders?")
    following = client.get(f"https://127.0.0.1:{client.base_url.port}{link}")
    assert [one["id"] for one in following.json()] != [one["id"] for one in page.json()]


def test_an_edit_with_if_match_is_made_once(client: httpx.Client) -> None:
    seen = client.get("/api/flavors/1", headers={"Accept-Encoding": "gzip"})
    compressed = seen.headers.get("content-encoding") == "gzip"
    assert seen.headers["etag"].startswith("W/") == compressed
    tag = {"If-Match": seen.headers["etag"]}
    price = {"price": seen.json()["price"] + 1}
    assert client.patch("/api/flavors/1", json=price, headers=tag).status_code == 200
    assert client.patch("/api/flavors/1", json=price, headers=tag).status_code == 412
    flavors = client.get("/api/flavors/", headers={"Accept-Encoding": "gzip"})
    again = {"If-None-Match": flavors.headers["etag"]}
    assert client.get("/api/flavors/", headers=again).status_code == 304


def test_events_arrive_live(client: httpx.Client, place: Place) -> None:
    with client.stream("GET", "/api/events/") as stream:
        lines = stream.iter_lines()
        assert next(lines).startswith("retry:")
        order = place.shop.order()
        assert any(f'"order":{order},' in line for line in lines if line.startswith("data:"))


def test_a_refusal_does_not_affect_the_next_request(client: httpx.Client) -> None:
    def refused(size: int) -> int:
        body = b'{"flavor": 1, "quantity": "' + b"1" * size + b'"}'
        kind = {"Content-Type": "application/json", "Authorization": "Bearer nobody"}
        return client.post("/api/orders/", content=body, headers=kind).status_code

    def served(_: int) -> int:
        return client.post("/api/orders/quote/", json={"flavor": 1, "quantity": 2}).status_code

    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            refusals = pool.map(refused, [10, 100_000, 600_000, 900_000] * 2)
            assert set(pool.map(served, range(24))) == {200}
            assert set(refusals) <= {401, 413}


@pytest.mark.needs("curl")
def test_an_http_2_client_is_served(client: httpx.Client, certificate: proxies.Certificate) -> None:
    words = ["--silent", "--show-error", "--http2", "--cacert", f"{certificate.folder}/cert.pem"]
    write_out = ["--output", "-", "--write-out", "\n%{http_version} %{http_code}"]
    access = f"Authorization: {client.headers['Authorization']}"
    body = ["--json", '{"flavor": 1, "quantity": 2}', "--header", access]
    command = [
        tool("curl") or "curl",
        *words,
        *write_out,
        *body,
        f"{str(client.base_url).rstrip('/')}/api/orders/quote/",
    ]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "2 200", answer


def test_metrics_need_their_token_through_a_proxy_too(client: httpx.Client) -> None:
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers=METRICS_HEADERS).status_code == 200
