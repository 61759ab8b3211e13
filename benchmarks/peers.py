"""The peers: the original, its worker, another job queue, and a plain service on our stack."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks import commands
from benchmarks.databases import REDIS, database, prefix
from benchmarks.environments import ORIGINAL, install
from benchmarks.service import Service, running
from benchmarks.services import ROOT


@contextmanager
def original(*, best: bool = True, worker: bool = True, sleep: bool = True) -> Iterator[Service]:
    """Yield the original at its best or as shipped.

    Args:
        best: two gunicorn workers and PostgreSQL; as shipped it has one worker and SQLite.
        worker: whether its Celery worker runs.
        sleep: whether a payment takes its 0.5 to 2 seconds.
    """
    install(ORIGINAL)
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
        service = stack.enter_context(running(environment))
        service.database = environment.get("ORIGINAL_DATABASE", "")
        # Celery's default is one process per core.
        service.program = (_program("celery"), "--app=service:celery", "--quiet")
        service.run(_program("python"), ORIGINAL / "service.py")
        options = [f"--bind=127.0.0.1:{service.port}", f"--workers={2 if best else 1}"]
        service.start_process(_program("gunicorn"), *options, "service:application")
        if worker:
            service.start_worker()
        service.wait_until_ready("/api/token/")
        service.sign_in()
        yield service


def procrastinate(seconds: float) -> float:
    """Return how many jobs per second one worker of procrastinate finishes."""
    install(ORIGINAL)
    script = ROOT / "benchmarks/procrastinate/service.py"
    with database() as address:
        environment = os.environ | {"PEER_DATABASE": address}
        return float(
            commands.run_command(_program("python"), script, str(seconds), environment=environment)
        )


def _program(name: str) -> Path:
    return ORIGINAL / ".venv/bin" / name


@contextmanager
def plain() -> Iterator[Service]:
    """Yield the plain service on the same stack, in one process."""
    with database() as address, running({"PLAIN_DATABASE": address}) as service:
        service.environment["PLAIN_PORT"] = str(service.port)
        service.start_process(sys.executable, ROOT / "benchmarks/plain/service.py")
        service.wait_until_ready()
        service.sign_in()
        yield service
