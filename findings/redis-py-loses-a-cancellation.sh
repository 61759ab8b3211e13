#!/usr/bin/env bash
# A task that waits for a Redis command, and is cancelled, may go on as if it had not been: redis-py's
# asyncio client loses the cancellation on Python 3.11 when it comes while the command is being sent.
#
# What surprises: a cancellation usually ends whatever a task waits for. redis-py sends each command
# with asyncio.wait_for if there is a socket_timeout, and that function, until Python 3.11, returns the
# result of what ended just before the cancellation. So the command is carried out, its answer is
# awaited, and the task ends normally, although it says that it is being cancelled (cancelling() is 1).
# Without a socket_timeout nothing is lost, and with Python 3.12 or later neither.
# A loop that reads a stream for ever and is cancelled once can go on reading for ever.
#
# Seen on 2026-11-28 with Python 3.11, redis 8.1.0.
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
    """As much of Redis as it takes: every command, which comes as an array of texts, is answered OK."""
    with contextlib.suppress(ConnectionResetError):
        while line := await reader.readline():
            for _ in range(int(line[1:])):
                await reader.readline()
                await reader.readline()
            writer.write(b"+OK\r\n")


async def ends_normally(client, steps):
    """Cancel a command after so many steps of the loop; whether it ends as if nothing had been."""
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
