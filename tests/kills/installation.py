"""An installation whose processes and servers are killed at random, and started again."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import servers
from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import FAST_PAYMENTS, Process, Shop, freeze
from tests.sandboxes import WEBHOOK_SECRET, Sandbox

# Faults of the provider, as shares of its requests. None of them needs a decision of staff.
FAULTS = {
    "decline": 0.05,
    "reset-before": 0.03,
    "reset-after": 0.03,
    "500-before": 0.02,
    "500-after": 0.02,
    "timeout-before": 0.01,
    "timeout-after": 0.02,
    "late": 0.01,
    "429": 0.02,
    "processing": 0.02,
    "duplicate-webhooks": 0.05,
}
# Longer than a lease, so that another worker continues the payments of a frozen one.
SECONDS_FROZEN = 1.5 * float(FAST_PAYMENTS["ICECREAM_LEASE"])
MAX_PAUSE_SECONDS = 1.0


class Installation:
    """Two servers and two workers with PostgreSQL and Redis, or one server with SQLite.

    A program may be altered: the processes run `alteration` first.
    """

    def __init__(self, folder: Path, seed: int, alteration: str) -> None:
        self.kills: Counter[str] = Counter()
        self._random, self._alteration = random.Random(seed), alteration
        self._servers: dict[str, servers.Server] = {}
        self._held = ExitStack()
        url = f"sqlite:///{folder}/shop.sqlite"
        if WHICH == "postgres":
            self._servers["PostgreSQL"] = servers.postgres_server(folder / "pg", durable=True)
            self._servers["Redis"] = servers.redis_server(folder / "redis")
            for server in self._servers.values():
                self._held.enter_context(servers.running(server))
            url = self._servers["PostgreSQL"].url
        given = {
            "ICECREAM_PAYMENT_PROVIDER": "stripe",
            "ICECREAM_STRIPE_API_KEY": "sk_test_of_the_tests",
            "ICECREAM_STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
            "ICECREAM_ADMIN_PASSWORD": ADMIN_PASSWORD,
            "ICECREAM_RATE_LIMIT": "1000000/minute",
        }
        self.shop = self._held.enter_context(Shop(folder / "shop", url, **given))
        # A process may write a traceback when its database or provider ends during a call.
        self.shop.troubled = True
        rates = [f"--fault={name}={share}" for name, share in FAULTS.items()]
        hook = f"--webhook-url={self.shop.http.base_url}/api/payments/webhooks/stripe/"
        self.sandbox = Sandbox(folder, *rates, f"--seed={seed}", "--late=1.5", hook)
        self._held.callback(lambda: self.sandbox.end())
        self.shop.environment["ICECREAM_STRIPE_API_BASE"] = self.sandbox.url
        self.ports = [self.shop.port]
        if WHICH == "postgres":
            self.ports.append(servers.free_port())
            self.shop.environment["ICECREAM_REDIS_URL"] = self._servers["Redis"].url
        assert self.shop.run("migrate").returncode == 0
        self._commands: dict[str, tuple[str, ...]] = {
            f"server {n}": ("serve", "--port", str(port)) for n, port in enumerate(self.ports, 1)
        }
        if WHICH == "postgres":
            self._commands |= {"worker 1": ("worker",), "worker 2": ("worker",)}
        self._processes = {name: self._begin(name) for name in self._commands}
        self.shop.ready(*self._processes.values())
        self.shop.sign_in("admin", ADMIN_PASSWORD)

    def _begin(self, name: str) -> Process:
        return self.shop.begin_altered(self._alteration, *self._commands[name])

    def disturb(self, end: threading.Event) -> None:
        """Kill, stop or freeze something every second or so, and start it again, until the end."""
        while not end.wait(self._random.uniform(0, 2 * MAX_PAUSE_SECONDS)):
            kinds = [*self._commands, *self._servers, "provider"]
            self._disturb(self._random.choice(kinds))

    def _disturb(self, name: str) -> None:
        if name == "provider":
            self._count("killed", name)
            self.sandbox.end()
            self._pause()
            self.sandbox.start()
        elif server := self._servers.get(name):
            # PostgreSQL crashes and recovers; Redis is empty when it returns.
            self._count("crashed", name)
            server.stop()
            self._pause()
            server.start()
        else:
            self._disturb_process(name, self._processes[name])

    def _disturb_process(self, name: str, process: Process) -> None:
        how = self._random.choice(("killed", "killed", "stopped", "frozen"))
        self._count(how, name)
        if how == "frozen":
            with freeze(process.pid):
                time.sleep(SECONDS_FROZEN)
            return
        process.signal(signal.SIGKILL if how == "killed" else signal.SIGTERM)
        process.wait()
        self._pause()
        self._processes[name] = self._begin(name)

    def _count(self, how: str, name: str) -> None:
        self.kills[f"{name.rstrip(' 12')} {how}"] += 1

    def _pause(self) -> None:
        time.sleep(self._random.uniform(0, MAX_PAUSE_SECONDS))

    def close(self) -> None:
        self._held.close()


@contextmanager
def installed(folder: Path, seed: int, alteration: str) -> Iterator[Installation]:
    """Start an installation; at the end stop everything, also after an error."""
    installation = Installation(folder, seed, alteration)
    try:
        yield installation
    finally:
        installation.close()
