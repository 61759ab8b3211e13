#!/usr/bin/env bash
# If a task that waits for a Redis command is cancelled, it may continue as if it had not been cancelled:
# on Python 3.11, redis-py's asyncio client loses a cancellation that arrives while it sends the command.
#
# Expected: a cancellation ends the wait of a task. The cause: with a socket_timeout, redis-py sends each
# command with asyncio.wait_for. Up to Python 3.11 that function returns the result if the awaited operation
# ended just before the cancellation. So the command is executed, its answer is awaited, and the task
# ends normally, although it reports that it is being cancelled (cancelling() is 1). Nothing is lost without
# a socket_timeout, nor with Python 3.12 or later.
# A loop that reads a stream for ever and is cancelled once can continue to read for ever.
#
# Observed on 2026-11-28 with Python 3.11, redis 8.1.0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check redis==8.1.0
cat >"$folder/show.py" <<'PYTHON'
import asyncio
import contextlib

from redis.asyncio import Redis


async def serve(reader, writer):
    """A minimal Redis: answer OK to every command, which arrives as an array of texts."""
    with contextlib.suppress(ConnectionResetError):
        while line := await reader.readline():
            for _ in range(int(line[1:])):
                await reader.readline()
                await reader.readline()
            writer.write(b"+OK\r\n")


async def ends_normally(client, steps):
    """Cancel a command after this many steps of the loop; True if it ends as if not cancelled."""
    command = asyncio.create_task(client.execute_command("SET", "name", "value"))
    for _ in range(steps):
        await asyncio.sleep(0)
    assert command.cancel()
    try:
        await command
    except asyncio.CancelledError:
        return False
    assert command.cancelling() == 1
    return True


async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    for timeout in (5, None):
        client = Redis(host=host, port=port, protocol=2, socket_timeout=timeout)
        lost = 0
        for steps in (1, 2, 3):
            await client.execute_command("SET", "name", "value")  # Connected.
            lost += await ends_normally(client, steps)
        await client.aclose()
        print(f"socket_timeout={timeout}: {'a cancellation was lost' if lost else 'none was lost'}")
    server.close()


asyncio.run(main())
PYTHON
"$folder/venv/bin/python" "$folder/show.py" | tee "$folder/seen"
if "$folder/venv/bin/python" -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then
    lost="a cancellation was lost"
else
    lost="none was lost"
fi
diff "$folder/seen" - <<EXPECTED
socket_timeout=5: $lost
socket_timeout=None: none was lost
EXPECTED
