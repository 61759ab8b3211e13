"""Test the process that holds slow connections."""

import asyncio
import socket
from contextlib import suppress

import pytest

from benchmarks import slow_connections

# These tests do not use a database.
pytestmark = [pytest.mark.anyio, pytest.mark.only("sqlite")]


async def test_all_connections_are_open_and_a_closed_one_is_opened_again() -> None:
    accepted, again = list[asyncio.StreamWriter](), asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(writer)
        if len(accepted) <= len(slow_connections.BEGINNINGS):
            writer.close()
        else:
            again.set()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    opened = asyncio.Semaphore(0)
    holders = [
        asyncio.create_task(slow_connections.hold(port, beginning, opened))
        for beginning in slow_connections.BEGINNINGS
    ]
    for _ in slow_connections.BEGINNINGS:
        await opened.acquire()
    await again.wait()
    for holder in holders:
        holder.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    for writer in accepted:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_a_refused_connection_is_an_error() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with (
            pytest.raises(RuntimeError, match="could not be opened"),
            slow_connections.holding(unused.getsockname()[1], 2),
        ):
            pytest.fail("there is no server")
