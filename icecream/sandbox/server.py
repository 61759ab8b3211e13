"""The sandbox's server process, with connections that can be reset."""

import asyncio
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from litestar import Litestar, Request

from icecream.http.connections import Connection

# Seconds for requests in flight after the stop signal.
GRACE = 1
# Seconds for which an idle connection stays open: longer than clients use one, so none is lost.
IDLE = 75
# The key under which a request finds its transport.
TRANSPORT = "icecream.transport"


class Resettable(Connection):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT] = self.transport


def reset(request: Request[Any, Any, Any]) -> None:
    """End the connection like a crash does: by RST, not by FIN."""
    transport: asyncio.Transport = request.scope["state"][TRANSPORT]
    # SO_LINGER with zero seconds: unsent data is discarded.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def gone(request: Request[Any, Any, Any]) -> None:
    """Wait until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def run(app: Litestar, host: str, port: int, ready: str) -> None:
    """Serve until a stop signal; print `ready` when the port accepts connections."""
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
    # uvicorn ends by raising again the signal that stopped it; that is not a failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
