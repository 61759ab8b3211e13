"""The server process of the sandbox; its connections can be reset."""

import asyncio
import signal
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

import uvicorn
from litestar import Litestar, Request

from icecream.http.connections import ClientConnection

# The time for requests in flight after the stop signal.
SHUTDOWN_SECONDS = 1
# Longer than any client keeps an idle connection, so that no request meets a closing one.
KEEP_ALIVE_SECONDS = 75
# The key of a request's transport in its state.
TRANSPORT_KEY = "icecream.transport"


class ResettableConnection(ClientConnection):
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT_KEY] = self.transport


def reset_connection(request: Request[Any, Any, Any]) -> None:
    """End the connection like a crash: with RST, not with FIN."""
    transport: asyncio.Transport = request.scope["state"][TRANSPORT_KEY]
    # SO_LINGER with zero seconds: unsent data is discarded.
    linger = struct.pack("ii", 1, 0)
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


async def wait_for_disconnect(request: Request[Any, Any, Any]) -> None:
    """Wait until the client has disconnected."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def run(app: Litestar, host: str, port: int, ready: str) -> None:
    """Serve until a stop signal; print `ready` when the port accepts connections."""
    listener = socket.create_server((host, port), backlog=1024)
    config = uvicorn.Config(
        app,
        http=ResettableConnection,
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    sys.stdout.write(f"{ready} http://{host}:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    # uvicorn ends by raising again the signal that stopped it; that is not a failure.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
