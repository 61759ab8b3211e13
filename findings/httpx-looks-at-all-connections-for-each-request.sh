#!/usr/bin/env bash
# With many connections in use, httpx takes many times as long for each request as with few.
#
# Expected: a request costs the same, whether 10 or 100 others wait for their answers at the same time. But at the start
# and at the end of each request, the pool of httpcore looks at all its connections several times, and asks the system
# whether a connection that is not in use has been closed. So the work per request grows with the number of connections:
# with 100 kept connections it was 20 ms of a processor, and with aiohttp less than 1 ms. By default httpx keeps only 20
# connections open. That takes 3 ms, and each further request opens a connection of its own, with TLS.
#
# Observed on 2026-12-01 with Python 3.11, httpx 0.28.1, httpcore 1.0.9.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check httpx==0.28.1 httpcore==1.0.9
cat >"$folder/show.py" <<'PYTHON'
import asyncio

import httpcore
import httpx

looks = 0
has_expired = httpcore.AsyncHTTPConnection.has_expired


def counted(connection):
    global looks
    looks += 1
    return has_expired(connection)


httpcore.AsyncHTTPConnection.has_expired = counted


async def serve(reader, writer):
    try:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except asyncio.IncompleteReadError:
        writer.close()


async def measure(url, connections):
    """Return how often a connection is looked at per request."""
    global looks
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits) as client:
        for _ in range(2):  # The first round opens the connections.
            looks = 0
            await asyncio.gather(*(client.get(url) for _ in range(connections)))
    return looks / connections


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1000)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    few, many = [await measure(url, connections) for connections in (10, 100)]
    print("looks at connections per request, 10 at a time: more than 10:", few > 10)
    print("100 at a time: more than 100:", many > 100)
    server.close()
    await asyncio.sleep(0.1)  # The connections end.


asyncio.run(main())
PYTHON
cd "$folder"
"$folder/venv/bin/python" show.py | tee seen
diff seen - <<'EXPECTED'
looks at connections per request, 10 at a time: more than 10: True
100 at a time: more than 100: True
EXPECTED
