"""Our service, started like in production, of this commit or of an earlier one."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from benchmarks.databases import REDIS, database, prefix
from benchmarks.service import PASSWORD, Service, free_port, running

ROOT = Path(__file__).resolve().parents[1]


class Checkout(NamedTuple):
    """The source code of a commit, and the interpreter with its packages."""

    folder: Path
    python: Path


CURRENT = Checkout(ROOT, Path(sys.executable))


@contextmanager
def ours(
    *,
    processes: int = 1,
    workers: int = 0,
    embedded: bool = False,
    flavors: int = 1,
    stock: bool = False,
    delay: str = "0.5-2",
    module: str = "icecream",
    checkout: Checkout = CURRENT,
    provider: bool = False,
    far: bool = False,
    fill: Callable[[str], None] = lambda address: None,
) -> Iterator[Service]:
    """Yield our service as shipped, but without the rate limit, which would end the measurement.

    Args:
        delay: the seconds that a simulated payment takes; by default they are random.
        module: the module that runs instead of `icecream`.
        checkout: the commit that runs; by default this one.
        provider: whether payments are made at the benchmark's own provider.
        far: whether the database is 25 ms away.
        fill: called with the address of the migrated database before anything else starts.
    """
    environment = {
        "PYTHONPATH": str(checkout.folder),
        "ICECREAM_SECRET_KEY": "a key of the benchmark's own, long enough",
        "ICECREAM_ADMIN_PASSWORD": PASSWORD,
        "ICECREAM_RATE_LIMIT": "1000000000/minute",
        "ICECREAM_PAYMENT_DELAY": delay,
    }
    if checkout is CURRENT:
        # Earlier commits have no webhooks, and refuse settings that they do not know.
        environment["ICECREAM_WEBHOOK_PRIVATE_NETWORKS"] = "127.0.0.1"
    with ExitStack() as stack:
        address = "" if embedded else stack.enter_context(database())
        if address:
            environment |= {
                "ICECREAM_DATABASE_URL": address,
                "ICECREAM_REDIS_URL": REDIS,
                "ICECREAM_REDIS_PREFIX": stack.enter_context(prefix()),
            }
        service = stack.enter_context(running(environment))
        service.program = (checkout.python, "-m", "icecream")
        service.settled_query = (
            "SELECT count(*) FROM event WHERE type IN ('paid', 'failed') AND id > {after}"
        )
        service.last_event_query = "SELECT coalesce(max(id), 0) FROM event"
        if provider:
            _begin_provider(service)
        service.environment["ICECREAM_PORT"] = str(service.port)
        service.database = address
        if address:
            service.run(*service.program, "migrate")
            fill(address)
        if far:
            service.environment["ICECREAM_DATABASE_URL"] = _begin_distance(service, address)
        more = ["--workers", str(processes)] if processes > 1 else []
        service.main = (
            (*service.program, "serve", *more)
            if module == "icecream"
            else (checkout.python, "-m", module)
        )
        service.start()
        for _ in range(workers):
            service.start_worker()
        service.wait_until_ready()
        service.sign_in()
        if flavors > 1 or stock:
            service.flavors = _add_flavors(service, flavors, {"stock": 10**12} if stock else {})
        yield service


def _begin_provider(service: Service) -> None:
    port = free_port()
    service.start_process(sys.executable, "-m", "benchmarks.provider", str(port))
    service.environment |= {
        "ICECREAM_PAYMENT_PROVIDER": "stripe",
        "ICECREAM_STRIPE_API_KEY": "sk_test_of_the_benchmark",
        "ICECREAM_STRIPE_API_BASE": f"http://127.0.0.1:{port}",
    }


def _begin_distance(service: Service, address: str) -> str:
    """Start a proxy that delays data, and return the address of the database behind it."""
    near, port = urlsplit(address), free_port()
    target = [near.hostname or "127.0.0.1", str(near.port or 5432)]
    service.start_process(sys.executable, "-m", "benchmarks.distance", str(port), *target)
    user = f"{near.netloc.rpartition('@')[0]}@" if "@" in near.netloc else ""
    return near._replace(netloc=f"{user}127.0.0.1:{port}").geturl()


def _add_flavors(service: Service, count: int, more: dict[str, int]) -> list[int]:
    bodies = [{"name": f"Flavor {n}"} | more for n in range(count)]
    return [service.call("POST", "/api/flavors/add/", body)["id"] for body in bodies]
