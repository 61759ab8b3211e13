"""The `icecream` command in real processes; each ends with the test that started it."""

import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx

from tests import forks, log_secrets, servers

T = TypeVar("T")
ROOT = Path(__file__).parents[1]
# The shell reads from a pipe that this process holds open. When a line arrives, or the pipe closes
# because this process has ended, the shell kills the whole process group that it guards.
GUARD_SCRIPT = 'read -r _; kill -s KILL -- "-$1" 2> /dev/null'
# In seconds: far longer than any step takes, also on a busy machine.
PATIENCE = 50.0
# Settings with quick payments, and with leases that expire soon.
FAST_PAYMENTS = {
    "ICECREAM_PAYMENT_DELAY": "0.01-0.05",
    "ICECREAM_PAYMENT_TIMEOUT": "1",
    "ICECREAM_LEASE": "2",
    "ICECREAM_SWEEP": "0.2",
}
READ_STATE_PROGRAM = """
import asyncio, json
from icecream import database
from icecream.tables import Job, Order, Payment
from tests import ledger
async def main():
    async with database.open_pool():
        await ledger.check()
        print(json.dumps({
            "orders": await Order.select(
                Order.id, Order.status, Order.fulfilment
            ).order_by(Order.id),
            "payments": await Payment.select(Payment.order, Payment.state, Payment.tries),
            "jobs": [row["kind"] for row in await Job.select(Job.kind)],
        }))
asyncio.run(main())
"""


def until(condition: Callable[[], T], description: str, seconds: float = PATIENCE) -> T:
    """Poll until the condition returns a true value, and return it; the pauses grow."""
    deadline, pause = time.monotonic() + seconds, 0.01
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Not true after {seconds} s: {description}.")
        time.sleep(pause)
        pause = min(1.5 * pause, 0.1)
    return answer


class Process:
    """A command that runs until it is stopped; its output goes to a file."""

    def __init__(
        self,
        words: tuple[str, ...],
        environment: dict[str, str],
        log: Path,
        program: tuple[str, ...] = ("-m", "icecream"),
    ) -> None:
        self.words, self.environment, self.log = words, environment, log
        self._process = forks.Fork((*program, *words), environment, log.parent, log)
        self.pid = self._process.pid
        self._guard = subprocess.Popen(
            ["sh", "-c", GUARD_SCRIPT, "sh", str(self.pid)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self._process.code is None

    def says(self, text: str) -> None:
        """Wait until the process has written this text."""
        until(lambda: text in self.output or not self.running, f"{self.words} says {text!r}")
        assert text in self.output, self.output

    def kill(self) -> None:
        """Kill this process without warning; its children stay alive."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: int) -> None:
        self._process.signal(number)

    def wait(self, seconds: float = PATIENCE) -> int:
        return self._process.wait(seconds)

    def left_behind(self) -> list[int]:
        """Return the processes of its group that are still running."""
        return [pid for pid, one in _living().items() if one.group == self.pid]

    def end(self) -> None:
        self._guard.communicate(b"\n")
        self._process.wait()


def stop(*processes: Process, codes: Container[int] = (0,)) -> float:
    """Stop processes like an operator would, and return the seconds that it took."""
    began = time.monotonic()
    for process in processes:
        process.signal(signal.SIGTERM)
    for process in processes:
        assert process.wait() in codes, process.output
        until(lambda: not process.left_behind(), f"nothing is left of {process.words}", 2)  # noqa: B023
    return time.monotonic() - began


class Living(NamedTuple):
    """A running process of this machine."""

    parent: int
    group: int


def _living() -> dict[int, Living]:
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, group, *_ = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue  # It ended just now.
        if state not in "ZX":
            found[int(path.parent.name)] = Living(int(parent), int(group))
    return found


@contextmanager
def freeze(pid: int) -> Iterator[None]:
    """Stop a process and its children by SIGSTOP; other processes wait for their answers."""
    family = [pid, *(child for child, one in _living().items() if one.parent == pid)]
    _signal_all(family, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal_all(family, signal.SIGCONT)


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        # A child may have ended just now.
        with suppress(ProcessLookupError):
            os.kill(pid, number)


class Shop:
    """An installation for one test: its folder, its settings, and the processes started there.

    No process may write a traceback, unless `troubled` is true. No process may ever write a secret.
    """

    troubled = False

    def __init__(self, folder: Path, database_url: str, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, servers.free_port()
        self.environment = dict(os.environ) | {
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(folder),
            "ICECREAM_DATABASE_URL": database_url,
            "ICECREAM_PORT": str(self.port),
            **FAST_PAYMENTS,
            **settings,
        }
        self.processes: list[Process] = []
        self._passwords: set[str] = set()
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=PATIENCE)

    def __enter__(self) -> "Shop":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as cleanup:
            cleanup.callback(self.http.close)
            for process in self.processes:
                cleanup.callback(process.end)
        for process in self.processes:
            if kind is not None:
                print(process.words, process.output[-3000:], sep="\n")  # noqa: T201
                continue
            self._check_secrets(process.output, process.environment)
            if not self.troubled:
                assert "Traceback" not in process.output, process.output

    def _check_secrets(self, output: str, environment: dict[str, str]) -> None:
        found = log_secrets.FORMATS.findall(output)
        found += [value for value in self._secrets(environment) if value in output]
        assert not found, f"{found} in {output}"

    def _secrets(self, environment: dict[str, str]) -> Iterator[str]:
        """Yield the passwords that were used to sign in, and the secrets in the settings."""
        yield from self._passwords
        for name, value in environment.items():
            if name.startswith("ICECREAM_") and name.endswith(("_KEY", "_SECRET", "_PASSWORD")):
                yield value
            elif name.endswith("_URL") and (password := urlsplit(value).password):
                yield f":{password}@"

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a short command of `icecream`; its output and its errors are combined."""
        if "--password" in words:
            self._passwords.add(words[words.index("--password") + 1])
        done = self._python("-m", "icecream", *words, **settings)
        # The API documents and the help contain examples of secrets.
        # And a new API key, and the secret of a webhook, are shown once.
        if not {"openapi", "postman", "webhooks", "--help", "-h"} & set(words) and words[:2] != (
            "keys",
            "create",
        ):
            self._check_secrets(done.stdout, self.environment | settings)
        return done

    def run_all(
        self, commands: Sequence[Sequence[str]], **settings: str
    ) -> list[subprocess.CompletedProcess[str]]:
        """Run several short commands at the same time."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(lambda words: self.run(*words, **settings), commands))

    def _python(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        with tempfile.NamedTemporaryFile() as log:
            path = Path(log.name)
            fork = forks.Fork(words, self.environment | settings, self.folder, path)
            try:
                code = fork.wait(PATIENCE)
            finally:
                fork.signal(signal.SIGKILL)
            return subprocess.CompletedProcess(words, code, path.read_text())

    def begin(self, *words: str, **settings: str) -> Process:
        """Start a command of `icecream`, and do not wait for it."""
        return self._begin(words, ("-m", "icecream"), **settings)

    def begin_altered(self, alteration: str, *words: str) -> Process:
        """Start a command of `icecream` in which code is altered before it runs."""
        return self._begin(words, ("-c", f"{alteration}\nfrom icecream.cli import main\nmain()"))

    def _begin(self, words: tuple[str, ...], program: tuple[str, ...], **settings: str) -> Process:
        log = self.folder / f"{len(self.processes)}-{words[0]}.log"
        process = Process(words, self.environment | settings, log, program)
        self.processes.append(process)
        return process

    def ready(self, *processes: Process) -> None:
        """Wait until these servers answer and these workers work."""
        for process in processes:
            if process.words[0] == "serve":
                self._answered_by(process)
            else:
                process.says("Charging payments")

    def _answered_by(self, process: Process) -> None:
        until(lambda: self._lives() or not process.running, "the server answers")
        assert process.running, f"It ended with {process.wait()}: {process.output}"

    def serve(self, *words: str, **settings: str) -> Process:
        """Start a server, and wait until it answers."""
        process = self.begin("serve", *words, **settings)
        self.ready(process)
        return process

    def _lives(self) -> bool:
        try:
            return self.http.get("/health/live").status_code == 200
        except httpx.TransportError:
            return False

    def worker(self, *words: str, **settings: str) -> Process:
        """Start a worker, and wait until it works."""
        process = self.begin("worker", *words, **settings)
        self.ready(process)
        return process

    def sign_in(self, username: str, password: str) -> dict[str, str]:
        """Sign in for all later calls, and return the pair of tokens."""
        self._passwords.add(password)
        answer = self.http.post("/api/token/", data={"username": username, "password": password})
        assert answer.status_code == 200, answer.text
        pair: dict[str, str] = answer.json()
        self.http.headers["Authorization"] = f"Bearer {pair['access']}"
        return pair

    def order(self, quantity: int = 1, flavor: int = 1) -> int:
        """Place an order, and return its id."""
        answer = self.http.post("/api/orders/", json={"quantity": quantity, "flavor": flavor})
        assert answer.status_code == 200, answer.text
        number: int = answer.json()["order_id"]
        return number

    def statuses(self) -> Counter[str]:
        """Count the caller's orders by status."""
        return Counter(one["status"] for one in self.http.get("/api/orders/").json())

    def all_ended(self, seconds: float = PATIENCE) -> Counter[str]:
        """Wait until no order is pending, and return the counts by status."""
        until(lambda: "pending" not in self.statuses(), "all orders end", seconds)
        return self.statuses()

    def books(self) -> dict[str, Any]:
        """Check the ledger, and return all orders, all payments and the kinds of jobs."""
        answer = self._python("-c", READ_STATE_PROGRAM)
        assert answer.returncode == 0, answer.stdout
        read: dict[str, Any] = json.loads(answer.stdout)
        return read
