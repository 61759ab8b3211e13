"""A small TCP proxy that can lose its connections silently, like a NAT."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Forwards connections to another port of this machine."""

    def __init__(self, target: int) -> None:
        self.target, self.port = target, 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._lost: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lose(self) -> None:
        """Stop forwarding data of all present connections; new connections work."""
        self._lost |= self._writers

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, out}
        for source, drain in ((reader, out), (there, writer)):
            task = asyncio.create_task(self._pass_on(source, drain))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, source: asyncio.StreamReader, drain: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                if drain not in self._lost:
                    drain.write(data)
        if drain not in self._lost:
            drain.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.close()


@asynccontextmanager
async def relay(target: int) -> AsyncIterator[Relay]:
    """Run a relay that listens on its `port`."""
    running = Relay(target)
    server = await asyncio.start_server(running.accept, "127.0.0.1", 0)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        await running.close()
