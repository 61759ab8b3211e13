"""A service under measurement: its processes, its address, and the calls to it."""

import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks import commands, load
from benchmarks.databases import psql

PASSWORD = "vanilla-sky-42"
# The longest time for a start or a stop, also on a busy machine, and until a worker settles its
# first order.
MAX_WAIT_SECONDS = 120
# The interval between two looks at the number of settled orders.
POLL_SECONDS = 0.1
# The lines of a log that an error quotes.
QUOTED_LINES = 10
# Without it, each call would load the trusted certificates, for 20 ms.
_TLS = ssl.create_default_context()
ACCESS_LINE = re.compile(r"(GET|POST|PUT) /")


class Service:
    """Processes that answer at one address.

    `settled_query` counts settled orders after the event `{after}`, and `last_event_query` is the
    number of the newest event; without events they count all settled orders.
    """

    settled_query = "SELECT count(*) FROM orders WHERE status <> 'pending'"
    last_event_query = "SELECT 0"

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.address = f"http://127.0.0.1:{self.port}"
        # Clear PYTHONDONTWRITEBYTECODE: an installed service is compiled only once.
        self.environment = os.environ | {"PYTHONDONTWRITEBYTECODE": ""} | environment
        self.processes: list[subprocess.Popen[bytes]] = []
        self.program: tuple[str | Path, ...] = ()
        self.main: tuple[str | Path, ...] = ()
        self.database = ""
        self.token = ""
        self.flavors = [1]

    def run(self, *command: str | Path) -> None:
        """Run a command of the service and wait until it ends."""
        commands.run_command(*command, folder=self.folder, environment=self.environment)

    def start_process(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a process that keeps running; its output goes to a log file."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def start(self) -> None:
        """Start the process that answers."""
        self.start_process(*self.main)

    def start_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker."""
        return self.start_process(*self.program, "worker")

    def wait_until_ready(self, path: str = "/health/ready") -> None:
        """Wait until the service answers.

        Raises:
            RuntimeError: it does not answer; the error contains its log.
        """
        end = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < end:
            try:
                if httpx.get(self.address + path, verify=_TLS).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.01)
        raise RuntimeError(f"the service did not start:\n{self.quote_log()}")

    def quote_log(self) -> str:
        """Return the last lines of the log, without those of single requests."""
        lines = (self.folder / "log").read_text().splitlines()
        return "\n".join([line for line in lines if not ACCESS_LINE.search(line)][-QUOTED_LINES:])

    def sign_in(self, username: str = "admin") -> None:
        """Sign in as the first admin, or as another user with the same password."""
        body = {"username": username, "password": PASSWORD}
        self.token = self.call("POST", "/api/token/", body)["access"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON answer of a call."""
        answer = httpx.request(
            method, self.address + path, json=body, headers=self.headers, timeout=60, verify=_TLS
        )
        answer.raise_for_status()
        return answer.json()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the user who signed in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def add_customer(self, name: str) -> None:
        """Create an account with the password of the first admin."""
        self.run(*self.program, "user", "create", "--password", PASSWORD, name)

    def orders(
        self,
        connections: int,
        seconds: float,
        *,
        path: str = "/api/orders/",
        flavors: list[int] | None = None,
        warmup: bool = True,
    ) -> load.Load:
        """Place orders: of these flavors in turn, by default of all of them."""
        flavors = flavors or self.flavors
        return self._load(path, connections, seconds, flavors=flavors, warmup=warmup)

    def get(self, path: str, connections: int, seconds: float) -> load.Load:
        """Send the same GET request repeatedly."""
        return self._load(path, connections, seconds)

    def _load(self, path: str, connections: int, seconds: float, **options: Any) -> load.Load:
        try:
            return load.run(
                self.address,
                path,
                self.token,
                connections=connections,
                seconds=seconds,
                **options,
            )
        except load.CallsFailed as error:
            raise RuntimeError(f"{error}\n{self.quote_log()}".rstrip()) from None

    def wait_until_settled(self) -> None:
        """Wait until no order is pending."""
        while self.call("GET", "/api/orders/?status=pending&limit=1"):
            time.sleep(0.1)

    def count_pending(self) -> int:
        """Return the number of orders that are not settled yet."""
        return int(psql(self.database, "SELECT count(*) FROM orders WHERE status = 'pending'"))

    def settled_counter(self) -> Callable[[], int]:
        """Return a function that counts the orders settled from now on."""
        query = self.settled_query.format(after=psql(self.database, self.last_event_query))
        before = int(psql(self.database, query))
        return lambda: int(psql(self.database, query)) - before

    def measure_settled(self, begin: Callable[[], object], seconds: float) -> float:
        """Begin to settle, and return the orders settled per second; see `measure_rate`."""
        return self.measure_rate(begin, self.count_pending(), self.settled_counter(), seconds)

    def measure_rate(
        self, begin: Callable[[], object], pending: int, count: Callable[[], int], seconds: float
    ) -> float:
        """Begin to do what is pending, and return how much of it is done per second.

        The time runs from the first one, until all are done or until `seconds` have passed.

        Raises:
            RuntimeError: none was done, or all of them at once.
        """
        begin()
        end = time.monotonic() + MAX_WAIT_SECONDS
        while not (first := count()):
            if time.monotonic() > end:
                raise RuntimeError(f"none of {pending} was done:\n{self.quote_log()}")
            time.sleep(POLL_SECONDS)
        began = now = time.monotonic()
        done = first
        while done < pending and now - began < seconds:
            time.sleep(POLL_SECONDS)
            done, now = count(), time.monotonic()
        if done == first:
            raise RuntimeError(f"{pending} were too few: all were done at once")
        return (done - first) / (now - began)

    def memories(self) -> list[float]:
        """Return the MB in memory of each started process, or of its largest child.

        Raises:
            RuntimeError: a process has ended.
        """
        if ended := [process for process in self.processes if process.poll() is not None]:
            raise RuntimeError(f"{ended[0].args!r} has ended:\n{self.quote_log()}")
        return [max(map(_memory, _process_tree(process.pid))) for process in self.processes]

    def memory(self) -> float:
        """Return the MB in memory of the service's largest process."""
        return max(self.memories())

    def stop_process(self, process: subprocess.Popen[bytes]) -> None:
        """Stop one process gracefully."""
        process.send_signal(signal.SIGTERM)
        self._wait_for_end(process)
        self.processes.remove(process)

    def stop(self) -> None:
        """Stop all processes gracefully, so that accepted work is finished."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            self._wait_for_end(process)
        self.processes.clear()

    def _wait_for_end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(MAX_WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """Return a port that no program uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _process_tree(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _process_tree(int(child))


def _memory(pid: int) -> float:
    found = re.search(r"VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1000 if found else 0


@contextmanager
def running(environment: dict[str, str]) -> Iterator[Service]:
    """Yield a service that can start processes, and stop them at the end."""
    with tempfile.TemporaryDirectory() as folder:
        service = Service(environment, Path(folder))
        try:
            yield service
        finally:
            service.stop()
