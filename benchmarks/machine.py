"""The description of a run: its time, its machine and its versions."""

import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import redis

from benchmarks import commands
from benchmarks.databases import POSTGRES, REDIS, psql
from benchmarks.services import ROOT

PACKAGES = ("litestar", "piccolo", "asyncpg", "uvicorn", "taskiq", "msgspec")


def describe() -> str:
    """Return the time and commit, the machine, the servers and the versions, each on a line."""
    commit = commands.run_command("git", "describe", "--always", "--dirty", folder=ROOT)
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in PACKAGES),
    ]
    servers = [
        f"PostgreSQL {psql(POSTGRES, 'SHOW server_version')}",
        f"Redis {redis.Redis.from_url(REDIS).info('server')['redis_version']}",
        _wrk(),
    ]
    return "\n".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit}",
            _hardware(),
            ", ".join(servers),
            ", ".join(versions),
        ]
    )


def processor_times() -> tuple[int, int]:
    """Return the time since the start in which processors were busy, and the whole time.

    Both are in ticks, summed over all processors (proc(5), `/proc/stat`).
    """
    first, *_ = Path("/proc/stat").read_text().splitlines()
    user, nice, system, idle, iowait, *others = map(int, first.split()[1:9])
    busy = user + nice + system + sum(others)
    return busy, busy + idle + iowait


def _hardware() -> str:
    processors = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    assert memory is not None
    return (
        f"{len(processors)} x {processors[0]}, {int(memory[1]) / 1e6:.0f} GB, "
        f"{platform.system()} {platform.release()}; load generator, database and services share it"
    )


def _wrk() -> str:
    # wrk prints its version and exits with an error code.
    done = subprocess.run(["wrk", "--version"], capture_output=True, text=True, check=False)
    return done.stdout.partition(" [")[0]
