"""The process: its socket, and connections that can be reset."""

import asyncio
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from litestar import Litestar, Request

from icecream.connections import Connection

# Seconds that requests in flight have when the sandbox is told to end.
GRACE = 1
# Seconds that an idle connection stays: longer than clients keep one, so that none is lost to this.
IDLE = 75
# Where a request finds its connection.
TRANSPORT = "icecream.transport"


class Resettable(Connection):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT] = self.transport


def reset(request: Request[Any, Any, Any]) -> None:
    """End the connection as a crash does: not a FIN but a RST."""
    transport: asyncio.Transport = request.scope["state"][TRANSPORT]
    # To linger for no time at all: what was not sent yet is thrown away.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def gone(request: Request[Any, Any, Any]) -> None:
    """Return once the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def run(app: Litestar, host: str, port: int, ready: str) -> None:
    """Serve until told to end; prints `ready` once it can be reached."""
    listener = socket.create_server((host, port), backlog=1024)
    config = uvicorn.Config(
        app,
        http=Resettable,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=IDLE,
        timeout_graceful_shutdown=GRACE,
    )
    sys.stdout.write(f"{ready} http://{host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    # uvicorn ends by raising once more the signal that stopped it; that is no failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
