"""Many slow connections, held by a process: `python -m benchmarks.slow_connections PORT COUNT`."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# A part of a head and of a body; then they send a byte now and then.
UNFINISHED = (
    b"GET / HTTP/1.1\r\nHost: ice\r\nX: ",
    b"POST /api/token/ HTTP/1.1\r\nHost: ice\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
)
# The others send nothing, or one request and then nothing.
BEGINNINGS = (*UNFINISHED, b"", b"GET /health/live HTTP/1.1\r\nHost: ice\r\n\r\n")
PAUSE_SECONDS = 1
ALL_OPEN = b"all are open\n"


@contextmanager
def holding(port: int, count: int) -> Iterator[None]:
    """Hold so many connections to a port of this machine."""
    command = [sys.executable, "-m", "benchmarks.slow_connections", str(port), str(count)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != ALL_OPEN:
                raise RuntimeError("the slow connections could not be opened")
            yield
        finally:
            process.kill()


async def hold(port: int, beginning: bytes, opened: asyncio.Semaphore) -> None:
    """Hold a connection, and open another one whenever the server has closed it."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(beginning)
        opened.release()
        one_byte = b"x" if beginning in UNFINISHED else b""
        try:
            while not await _read_for_a_moment(reader):
                writer.write(one_byte)
        except ConnectionError:
            pass
        finally:
            writer.close()


async def _read_for_a_moment(reader: asyncio.StreamReader) -> bool:
    """Read what has arrived; return whether the server has closed the connection."""
    try:
        async with asyncio.timeout(PAUSE_SECONDS):
            while await reader.read(1000):
                pass
    except TimeoutError:
        return False
    return True


async def _hold_all(port: int, count: int) -> None:
    opened = asyncio.Semaphore(0)
    async with asyncio.TaskGroup() as group:
        for n in range(count):
            group.create_task(hold(port, BEGINNINGS[n % len(BEGINNINGS)], opened))
        for _ in range(count):
            await opened.acquire()
        sys.stdout.buffer.write(ALL_OPEN)
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_hold_all(*map(int, sys.argv[1:])))
