"""Test that a process which hangs while it stops logs where it hangs and has its own exit code."""

import asyncio
import signal
from pathlib import Path

import pytest

from icecream.cli import worker
from icecream.runtime import shutdown
from tests.processes import PATIENCE, Shop, until

# Programs that hang when they have to stop. The time limit for a stop is short here.
SOON = """
import asyncio, time
from icecream import app
from icecream.cli import worker
from icecream.orders import placing
from icecream.payments import executor
app.MAX_STOP_SECONDS = worker.STOP_SECONDS = 0.2
"""
WAIT = """
async def hangs(*_): await asyncio.Event().wait()
"""
BLOCK = """
async def hangs(*_): time.sleep(60)
"""
HANG = """
placing.OrderPlacer.close = executor.Executor.close = hangs
"""


embedded, at_scale = pytest.mark.only("sqlite"), pytest.mark.only("postgres")


@pytest.mark.parametrize(
    ("command", "way", "what"),
    [
        pytest.param("serve", WAIT, "lifespan (app.py", marks=embedded),
        pytest.param("serve", BLOCK, "main thread in hangs (<string>", marks=embedded),
        pytest.param("worker", WAIT, "> run_worker (worker.py", marks=at_scale),
    ],
)
def test_a_hanging_stop_is_forced_with_its_own_exit_code_and_log_line(
    tmp_path: Path, empty_database: str, command: str, way: str, what: str
) -> None:
    with Shop(tmp_path / "shop", empty_database) as shop:
        assert shop.run("migrate").returncode == 0
        process = shop.begin_altered(SOON + way + HANG, command)
        shop.ready(process)
        process.signal(signal.SIGTERM)
        assert process.wait() == shutdown.FORCED_STOP_EXIT_CODE == 70
        (line,) = [one for one in process.output.splitlines() if "forcing the exit" in one]
        assert "with code 70" in line
        assert what in line
        assert " hangs (<string>:" in line


@embedded
@pytest.mark.anyio
async def test_a_supervisor_has_the_exit_code_of_a_forced_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, stop = tmp_path / "python", asyncio.Event()
    python.write_text("#!/bin/sh\ntrap 'exit 70' TERM\necho up >>began\nread -r _")
    python.chmod(0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(worker.sys, "executable", str(python))
    monkeypatch.setattr(worker, "_stop_signal", lambda: stop)
    command = asyncio.create_task(worker._run_workers(2, 1, None))

    def up() -> int:
        return (tmp_path / "began").read_text().count("up")

    (tmp_path / "began").touch()
    async with asyncio.timeout(PATIENCE):
        await asyncio.to_thread(until, lambda: up() == 2, "both work")
        stop.set()
        codes = await command
    with pytest.raises(SystemExit, match="70"):
        shutdown.exit_if_forced(codes)
    shutdown.exit_if_forced([0, None, -9])
