"""The sandbox's only file: a line of JSON for whatever was asked and done, none ever changed."""

import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from icecream.sandbox.things import Entry


class Ledger:
    """Lines are on the disk before anybody is answered; those that wait together go together.

    Raises:
        OSError: it cannot be opened, or another sandbox has it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._lines: list[bytes] = []
        self._lock = asyncio.Lock()

    def read(self) -> Iterator[Entry]:
        """All entries; a last line that was torn by a crash was never answered for, and goes."""
        decoder, good = msgspec.json.Decoder(Entry), 0
        for line in self._path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                os.ftruncate(self._file, good)
                break
            good += len(line)
            yield decoder.decode(line)

    def note(self, entry: Entry) -> None:
        """Write it with the next that somebody waits for."""
        self._lines.append(msgspec.json.encode(entry) + b"\n")

    async def kept(self) -> None:
        """Return once all that was noted so far is on the disk."""
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
            # It has told itself what the disk does not know: there is no going on from here.
            sys.stderr.write(f"icecream: cannot write {self._path}: {error.strerror}\n")
            os._exit(1)

    def close(self) -> None:
        os.close(self._file)
