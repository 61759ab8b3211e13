"""Sending one message: its result is the answer, or the reason why there was none."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from icecream.webhooks.connections import Connections


class SendResult(Struct, frozen=True):
    """The answer to one message, or the error instead of an answer.

    For the seconds of `retry_after` the receiver wants no message.
    """

    status_code: int | None
    answer: str | None
    error: str | None
    duration_ms: int
    retry_after: float = 0.0

    @property
    def is_accepted(self) -> bool:
        """Whether the receiver has accepted the message."""
        return self.status_code is not None and 200 <= self.status_code < 300

    @property
    def is_gone(self) -> bool:
        """Whether the receiver wants no more messages (Standard Webhooks 1.0.0)."""
        return self.status_code == 410


class Sender:
    """Sends messages to one endpoint, over connections that it keeps until it is closed.

    Args:
        private_networks: these networks are allowed too, also without TLS.
    """

    def __init__(self, private_networks: Sequence[str]) -> None:
        self._private_networks = private_networks
        self._connections: Connections | None = None

    async def send(self, url: str, headers: Mapping[str, str], body: str) -> SendResult:
        """Send a message; any failure is a result too."""
        # The HTTP client needs a while to be imported, and some memory. Few installations send
        # webhooks.
        from icecream.webhooks import connections

        if self._connections is None:
            self._connections = connections.Connections(self._private_networks)
        began = time.monotonic()
        try:
            answer = await self._connections.post(url, headers, body)
        except connections.NoAnswer as failure:
            return SendResult(None, None, str(failure), _milliseconds_since(began))
        took = _milliseconds_since(began)
        return SendResult(answer.status_code, answer.text, None, took, answer.retry_after)

    async def close(self) -> None:
        """Close all connections."""
        if self._connections is not None:
            await self._connections.close()


def _milliseconds_since(began: float) -> int:
    return int(1000 * (time.monotonic() - began))
