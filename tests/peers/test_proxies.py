"""The service behind real proxies, with the configurations that `deploy/` holds."""

from collections.abc import Iterator

import httpx
import pytest

from tests import servers
from tests.peers import proxies
from tests.processes import PATIENCE, Shop

NAMES = ["nginx", "caddy"]
each_proxy = pytest.mark.parametrize(
    "behind", [pytest.param(name, marks=pytest.mark.needs(name)) for name in NAMES], indirect=True
)
pytestmark = pytest.mark.needs("openssl")
# What a proxy sees does not depend on the database.
once = pytest.mark.only("sqlite")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> proxies.Certificate:
    return proxies.certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: servers.free_port() for name in NAMES}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Shop]:
    # Cookies are for a host, whatever its port: so one public address does for all proxies.
    settings = {
        "ICECREAM_PUBLIC_URL": f"https://127.0.0.1:{ports['nginx']}",
        "ICECREAM_TRUSTED_PROXIES": "127.0.0.1",
    }
    with Shop(tmp_path_factory.mktemp("shop"), "sqlite:///icecream.sqlite", **settings) as shop:
        shop.serve()
        yield shop


@pytest.fixture(scope="module")
def behind(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: proxies.Certificate,
    ports: dict[str, int],
    shop: Shop,
) -> Iterator[httpx.Client]:
    """A client of a proxy."""
    name: str = request.param
    port, folder = ports[name], tmp_path_factory.mktemp(name) / "run"
    with (
        proxies.proxy(name, folder, port, shop.port, certificate.folder),
        httpx.Client(
            base_url=f"https://127.0.0.1:{port}", verify=certificate.context, timeout=PATIENCE
        ) as client,
    ):
        yield client


@once
@each_proxy
@pytest.mark.parametrize("path", ["/", "/problems", "/schema", "/schema/redoc", "/admin/"])
def test_a_page_comes_through(behind: httpx.Client, path: str) -> None:
    answer = behind.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["strict-transport-security"]


@each_proxy
def test_figures_for_prometheus_are_not_for_the_clients_of_a_proxy(behind: httpx.Client) -> None:
    assert behind.get("/metrics").status_code == 404
