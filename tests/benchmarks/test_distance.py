"""Test the proxy that delays data."""

import asyncio
from functools import partial

import pytest

from benchmarks import distance

# These tests do not use a database.
pytestmark = pytest.mark.only("sqlite")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_data_passes_both_ways_in_its_order_until_the_end() -> None:
    target = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = target.sockets[0].getsockname()[1]
    proxy = await asyncio.start_server(partial(distance.accept, "127.0.0.1", port), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
    sent = b"".join(n.to_bytes(4, "big") for n in range(50_000))
    writer.write(sent)
    writer.write_eof()
    assert await reader.read() == sent
    writer.close()
    for server in proxy, target:
        server.close()
        await server.wait_closed()


async def test_data_is_held_until_its_time() -> None:
    reader, chunks = asyncio.StreamReader(), list[bytes]()
    sink = Sink(chunks)
    forwarding = asyncio.create_task(distance.forward(reader, sink, seconds=3600))
    reader.feed_data(b"late")
    for _ in range(10):
        await asyncio.sleep(0)
    assert chunks == []
    forwarding.cancel()
    await asyncio.gather(forwarding, return_exceptions=True)


class Sink:
    """A writer that keeps what it gets."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def write(self, data: bytes) -> None:
        self.chunks.append(data)

    async def drain(self) -> None: ...

    def write_eof(self) -> None: ...
