"""A TCP proxy that forwards data after 12.5 ms: a server that is 25 ms away.

`python -m benchmarks.distance PORT HOST PORT_OF_THE_SERVER`
"""

import asyncio
import sys
from contextlib import suppress
from functools import partial

import uvloop

ONE_WAY_SECONDS = 0.0125
Chunk = tuple[float, bytes]


async def forward(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, seconds: float = ONE_WAY_SECONDS
) -> None:
    """Forward data in its order, each piece `seconds` after it arrived, and the end too."""
    chunks: asyncio.Queue[Chunk] = asyncio.Queue()
    receiving = asyncio.create_task(_receive(reader, chunks))
    clock = asyncio.get_running_loop()
    with suppress(OSError):
        while True:
            arrived, data = await chunks.get()
            await asyncio.sleep(arrived + seconds - clock.time())
            if not data:
                break
            writer.write(data)
            await writer.drain()
        # The other direction may still have data.
        writer.write_eof()
    receiving.cancel()


async def _receive(reader: asyncio.StreamReader, chunks: asyncio.Queue[Chunk]) -> None:
    clock, data = asyncio.get_running_loop(), b"begin"
    while data:
        try:
            data = await reader.read(65_536)
        except OSError:
            data = b""
        chunks.put_nowait((clock.time(), data))


async def accept(
    host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Connect a client with the server."""
    try:
        answers, requests = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(forward(reader, requests), forward(answers, writer))
    requests.close()
    writer.close()


async def main(port: int, host: str, target: int) -> None:
    """Serve until the process is stopped."""
    server = await asyncio.start_server(partial(accept, host, target), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
