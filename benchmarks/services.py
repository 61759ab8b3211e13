"""The compared services, each started like in production, on its own port.

They use an existing PostgreSQL and Redis: `BENCH_POSTGRES` and `BENCH_REDIS`. Each service gets its
own database and its own keys there, which are deleted with the service.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis

from benchmarks import commands, load

ROOT = Path(__file__).resolve().parents[1]
POSTGRES = os.environ.get("BENCH_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/9")
PASSWORD = "vanilla-sky-42"
ORIGINAL = ROOT / "benchmarks/original"
# The longest time for a start or a stop.
MAX_WAIT_SECONDS = 30


def psql(address: str, query: str) -> str:
    """Return the plain result of a query."""
    return commands.run_command("psql", address, "-XAtqv", "ON_ERROR_STOP=1", "-c", query)


@contextmanager
def database() -> Iterator[str]:
    """Yield the address of an empty PostgreSQL database, and drop the database at the end."""
    name = f"icecream_bench_{os.getpid()}_{time.monotonic_ns()}"
    psql(POSTGRES, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(POSTGRES)._replace(path=f"/{name}").geturl()
    finally:
        psql(POSTGRES, f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def snapshot(address: str) -> Iterator[None]:
    """Hold an idle snapshot of a database, like a forgotten session or a long dump."""
    begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM job;"
    session = subprocess.Popen(
        ["psql", address, "-XAtq"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert session.stdin is not None
    assert session.stdout is not None
    session.stdin.write(f"{begin}\n")
    session.stdin.flush()
    session.stdout.readline()
    try:
        yield
    finally:
        session.communicate()


@contextmanager
def prefix() -> Iterator[str]:
    """Yield a prefix for keys in Redis, and delete these keys at the end."""
    name = f"icecream-bench-{os.getpid()}-{time.monotonic_ns()}"
    try:
        yield name
    finally:
        with redis.Redis.from_url(REDIS) as client:
            for key in client.scan_iter(f"{name}*"):
                client.delete(key)


class Service:
    """Processes that answer at one address."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.port, self.folder = _free_port(), folder
        self.address = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | environment
        self.processes: list[subprocess.Popen[bytes]] = []
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

    def wait_until_ready(self, path: str = "/health/ready") -> None:
        """Wait until the service answers.

        Raises:
            RuntimeError: it does not answer; the error contains its log.
        """
        end = time.monotonic() + MAX_WAIT_SECONDS
        while time.monotonic() < end:
            try:
                if httpx.get(self.address + path).status_code < 500:
                    return
            except httpx.TransportError:
                time.sleep(0.01)
        raise RuntimeError((self.folder / "log").read_text())

    def sign_in(self, username: str = "admin") -> None:
        """Sign in as the first admin, or as another user with the same password."""
        body = {"username": username, "password": PASSWORD}
        self.token = self.call("POST", "/api/token/", body)["access"]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON answer of a call."""
        answer = httpx.request(
            method, self.address + path, json=body, headers=self.headers, timeout=60
        )
        answer.raise_for_status()
        return answer.json()

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the user who signed in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def add_customer(self, name: str) -> None:
        """Create an account with the password of the first admin."""
        self.run(*ICECREAM, "user", "create", "--password", PASSWORD, name)

    def orders(
        self,
        connections: int,
        seconds: float,
        *,
        path: str = "/api/orders/",
        flavors: list[int] | None = None,
    ) -> load.Load:
        """Place orders: of these flavors in turn, by default of all of them."""
        return load.run(
            self.address,
            path,
            self.token,
            connections=connections,
            seconds=seconds,
            flavors=flavors or self.flavors,
        )

    def get(self, path: str, connections: int, seconds: float) -> load.Load:
        """Send the same GET request repeatedly."""
        return load.run(self.address, path, self.token, connections=connections, seconds=seconds)

    def wait_until_settled(self) -> None:
        """Wait until no order is pending."""
        while self.call("GET", "/api/orders/?status=pending&limit=1"):
            time.sleep(0.1)

    def count_pending(self) -> int:
        """Return the number of orders that are not settled yet."""
        return int(psql(self.database, "SELECT count(*) FROM orders WHERE status = 'pending'"))

    def measure_settled(self, seconds: float) -> float:
        """Return the orders that are settled per second, measured from the first one.

        Raises:
            RuntimeError: all orders were settled before the time was over.
        """
        before = self.count_pending()
        while (left := self.count_pending()) == before:
            time.sleep(0.05)
        began = time.monotonic()
        time.sleep(seconds)
        end = self.count_pending()
        if not end:
            raise RuntimeError(f"{left} orders are too few for {seconds} seconds")
        return (left - end) / (time.monotonic() - began)

    def memory(self) -> float:
        """Return the MB in memory of the service's largest process."""
        return max(_memory(pid) for process in self.processes for pid in _process_tree(process.pid))

    def stop(self) -> None:
        """Stop all processes gracefully, so that accepted work is finished."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(MAX_WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes.clear()


def _free_port() -> int:
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
def _service(environment: dict[str, str]) -> Iterator[Service]:
    with tempfile.TemporaryDirectory() as folder:
        service = Service(environment, Path(folder))
        try:
            yield service
        finally:
            service.stop()


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
    provider: bool = False,
    fill: Callable[[str], None] = lambda address: None,
) -> Iterator[Service]:
    """Yield our service as shipped, but without the rate limit, which would end the measurement.

    Args:
        delay: the seconds that a simulated payment takes; by default they are random.
        module: the module that runs instead of `icecream`.
        provider: whether payments are made at the benchmark's own provider.
        fill: called with the address of the migrated database before anything else starts.
    """
    environment = {
        "PYTHONPATH": str(ROOT),
        "ICECREAM_SECRET_KEY": "a key of the benchmark's own, long enough",
        "ICECREAM_ADMIN_PASSWORD": PASSWORD,
        "ICECREAM_RATE_LIMIT": "1000000000/minute",
        "ICECREAM_PAYMENT_DELAY": delay,
    }
    with ExitStack() as stack:
        address = "" if embedded else stack.enter_context(database())
        if address:
            environment |= {
                "ICECREAM_DATABASE_URL": address,
                "ICECREAM_REDIS_URL": REDIS,
                "ICECREAM_REDIS_PREFIX": stack.enter_context(prefix()),
            }
        service = stack.enter_context(_service(environment))
        if provider:
            _begin_provider(service)
        service.environment["ICECREAM_PORT"] = str(service.port)
        service.database = address
        if address:
            service.run(*ICECREAM, "migrate")
            fill(address)
        more = ["--workers", str(processes)] if processes > 1 else []
        service.main = (
            (*ICECREAM, "serve", *more) if module == "icecream" else (sys.executable, "-m", module)
        )
        service.start()
        for _ in range(workers):
            service.start_process(*ICECREAM, "worker")
        service.wait_until_ready()
        service.sign_in()
        if flavors > 1 or stock:
            service.flavors = _add_flavors(service, flavors, {"stock": 10**12} if stock else {})
        yield service


ICECREAM = (sys.executable, "-m", "icecream")


def _begin_provider(service: Service) -> None:
    port = _free_port()
    service.start_process(sys.executable, "-m", "benchmarks.provider", str(port))
    service.environment |= {
        "ICECREAM_PAYMENT_PROVIDER": "stripe",
        "ICECREAM_STRIPE_API_KEY": "sk_test_of_the_benchmark",
        "ICECREAM_STRIPE_API_BASE": f"http://127.0.0.1:{port}",
    }


def _add_flavors(service: Service, count: int, more: dict[str, int]) -> list[int]:
    bodies = [{"name": f"Flavor {n}"} | more for n in range(count)]
    return [service.call("POST", "/api/flavors/add/", body)["id"] for body in bodies]


@contextmanager
def original(*, best: bool = True, worker: bool = True, sleep: bool = True) -> Iterator[Service]:
    """Yield the original at its best or as shipped.

    Args:
        best: two gunicorn workers and PostgreSQL; as shipped it has one worker and SQLite.
        worker: whether its Celery worker runs.
        sleep: whether a payment takes its 0.5 to 2 seconds.
    """
    with ExitStack() as stack:
        environment = {
            "ORIGINAL_REDIS": REDIS,
            "ORIGINAL_PREFIX": stack.enter_context(prefix()),
            "ORIGINAL_SLEEP": "1" if sleep else "",
            "PYTHONPATH": str(ORIGINAL),
        }
        if best:
            address = stack.enter_context(database())
            environment["ORIGINAL_DATABASE"] = address
        service = stack.enter_context(_service(environment))
        service.database = environment.get("ORIGINAL_DATABASE", "")
        service.run(_program("python"), ORIGINAL / "service.py")
        options = [f"--bind=127.0.0.1:{service.port}", f"--workers={2 if best else 1}"]
        service.start_process(_program("gunicorn"), *options, "service:application")
        if worker:
            begin_celery(service)
        service.wait_until_ready("/api/token/")
        service.sign_in()
        yield service


def begin_celery(service: Service) -> None:
    """Start the original's worker with Celery's default of one process per core."""
    service.start_process(
        _program("celery"), "--app=service:celery", "worker", "--loglevel=WARNING"
    )


def procrastinate(seconds: float) -> float:
    """Return how many jobs per second one worker of procrastinate finishes."""
    with database() as address:
        result = subprocess.run(
            [_program("python"), ROOT / "benchmarks/procrastinate/service.py", str(seconds)],
            env=os.environ | {"PEER_DATABASE": address},
            capture_output=True,
            text=True,
        )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return float(result.stdout)


def _program(name: str) -> Path:
    return ORIGINAL / ".venv/bin" / name


@contextmanager
def plain() -> Iterator[Service]:
    """Yield the plain service on the same stack, in one process."""
    with database() as address, _service({"PLAIN_DATABASE": address}) as service:
        service.environment["PLAIN_PORT"] = str(service.port)
        service.start_process(sys.executable, ROOT / "benchmarks/plain/service.py")
        service.wait_until_ready()
        service.sign_in()
        yield service


def install_original() -> None:
    """Install the original into its own environment, unless this was result before."""
    requirements = ORIGINAL / "requirements.txt"
    stamp = ORIGINAL / ".venv/installed"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", ORIGINAL / ".venv"], check=True)
    pip = [str(_program("python")), "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    subprocess.run([*pip, "--no-deps", "--require-hashes", "-r", requirements], check=True)
    stamp.write_text(requirements.read_text())
