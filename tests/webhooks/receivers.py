"""A receiver of webhooks: verifies each message with the library of Standard Webhooks."""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from standardwebhooks import Webhook

# The answer to a message: a status, or None to reset the connection, or seconds to wait first.
Behavior = Callable[["Received"], int | float | None]


class Received(NamedTuple):
    """A request whose signature is valid."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def order(self) -> int | None:
        order: int | None = self.body["data"].get("order")
        return order


class Receiver:
    """A server on a local port.

    Args:
        behavior: chooses the answer to each message; by default all are accepted.
    """

    def __init__(self, behavior: Behavior = lambda _: 200) -> None:
        self.behavior = behavior
        self.secrets: list[str] = []
        self.received: list[Received] = []
        self.accepted: list[Received] = []
        self.unverified: list[str] = []
        self.headers, self.answer = "", b"thank you"
        self.at_once = self.most_at_once = 0
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks"

    def seqs(self) -> dict[int, list[int]]:
        """Return the numbers of the accepted events of each order, without repetitions."""
        found: defaultdict[int, list[int]] = defaultdict(list)
        for one in self.accepted:
            if one.order is not None and one.body["data"]["seq"] not in found[one.order]:
                found[one.order].append(one.body["data"]["seq"])
        return dict(found)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            while (head := await reader.readuntil(b"\r\n\r\n")) and await self._answer(
                head.decode(), reader, writer
            ):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        """End all connections."""
        for task in (serving := list(self._serving)):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _answer(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        first, *lines = head.strip().split("\r\n")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        one = Received(first.split()[1], headers, json.loads(body))
        self._verify(one, body)
        self.received.append(one)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.behavior(one)
            if isinstance(answer, float):
                await asyncio.sleep(answer)
                answer = 200
        finally:
            self.at_once -= 1
        if answer is None:
            writer.transport.abort()
            return False
        if 200 <= answer < 300:
            self.accepted.append(one)
        head = f"HTTP/1.1 {answer} X\r\nContent-Length: {len(self.answer)}\r\n{self.headers}\r\n"
        writer.write(head.encode() + self.answer)
        await writer.drain()
        return True

    def _verify(self, one: Received, body: bytes) -> None:
        """Note a message that one of the secrets does not verify."""
        for secret in self.secrets:
            try:
                Webhook(secret).verify(body, one.headers)
            except Exception as error:
                self.unverified.append(repr(error))


@asynccontextmanager
async def receiving(behavior: Behavior = lambda _: 200) -> AsyncIterator[Receiver]:
    """Yield a receiver that listens on a local port."""
    receiver = Receiver(behavior)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await receiver.close()
