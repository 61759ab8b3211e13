"""Server-sent events (the HTML standard's text/event-stream): one response for all streams."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from litestar.types import Receive, Send

from icecream import database
from icecream.http import middleware
from icecream.runtime import logs

log = logging.getLogger(__name__)
# The time that a client has to receive a block.
SEND_TIMEOUT_SECONDS = 15.0
# The delay after which a browser reconnects.
RECONNECT_MILLISECONDS = 1000
MEDIA_TYPE = "text/event-stream"
HEADERS = middleware.encode_headers(
    {"Content-Type": MEDIA_TYPE, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
)


async def send_blocks(
    blocks: AsyncGenerator[bytes, None], close: Callable[[], None], receive: Receive, send: Send
) -> None:
    """Send blocks until they end; call `close`, which ends them, when the client disconnects.

    Litestar's own streams use a thread each, and do not reliably end when the client disconnects.
    """
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    watcher = asyncio.create_task(_close_on_disconnect(close, receive))
    try:
        async with aclosing(blocks):
            async for block in blocks:
                await _send_block(block, send)
        await _send_block(b"", send)
    except TimeoutError:
        log.info("A client received nothing for %.0f s; closing its stream.", SEND_TIMEOUT_SECONDS)
    except database.DATABASE_UNAVAILABLE as error:
        # The client reconnects, and continues from its last position.
        logs.DATABASE_OUTAGE.record_failure(error)
    finally:
        watcher.cancel()


async def _send_block(block: bytes, send: Send) -> None:
    async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
        await send({"type": "http.response.body", "body": block, "more_body": bool(block)})


async def _close_on_disconnect(close: Callable[[], None], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    close()
