"""The sandbox's only file: requests and executions, one JSON object per line, append-only."""

import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from icecream.sandbox.objects import Entry


class Ledger:
    """A file; its lines are on disk before a response is sent. Concurrent writes are combined.

    Raises:
        OSError: the file cannot be opened, or another sandbox has locked it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lines: list[bytes] = []
        self._lock = asyncio.Lock()

    def read(self) -> Iterator[Entry]:
        """Yield all entries; remove an incomplete last line: its request got no response."""
        decoder = msgspec.json.Decoder(Entry)
        valid_bytes = 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                os.ftruncate(self._file, valid_bytes)
                break
            valid_bytes += len(line)
            yield decoder.decode(line)

    def append(self, entry: Entry) -> None:
        """Queue an entry; the next call of `flush` writes it."""
        self._lines.append(msgspec.json.encode(entry) + b"\n")

    async def flush(self) -> None:
        """Wait until all queued entries are on disk."""
        async with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                await asyncio.to_thread(self._write, b"".join(lines))

    def _write(self, lines: bytes) -> None:
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._file, left) :]
            os.fdatasync(self._file)
        except OSError as error:
            # The state in memory is ahead of the disk, so the process cannot continue.
            sys.stderr.write(f"icecream: cannot write {self._path}: {error.strerror}\n")
            os._exit(1)

    def close(self) -> None:
        os.close(self._file)
