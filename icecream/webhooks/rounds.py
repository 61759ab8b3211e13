"""One round of an endpoint: its due deliveries are sent, one order strictly in sequence."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from icecream import database
from icecream.runtime import instrumentation
from icecream.tables import WebhookDelivery
from icecream.webhooks import messages, sending

MAX_DELIVERIES_PER_ROUND = 100
# Messages to one endpoint at the same time, each about another order.
MAX_PARALLEL = 10
# After this time no further message is sent, so that the lease is long enough.
ROUND_SECONDS = 20.0
# A round ends after so many failures without a success: the endpoint is down.
MAX_FAILURES = 5
# The pauses before the tries after the first one, in seconds: Standard Webhooks 1.0.0. After the
# last try, three days later, the delivery has failed.
RETRY_DELAYS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
# The delays vary by this share, so that messages that failed together are not retried together.
JITTER = 0.1
FORBIDDEN = sending.SendResult(None, None, "The account may not see this order any more.", 0)
_OLDER_IS_POSTPONED = f"""EXISTS (SELECT 1 FROM webhook_delivery b
    WHERE b.endpoint = {{d}}.endpoint AND b."order" = {{d}}."order" AND b.id < {{d}}.id
    AND b.due_at > {database.NOW_SQL})"""
# The events of an order wait for its first one that was not accepted. New ones join them here.
_POSTPONE = f"""UPDATE webhook_delivery SET due_at = (
        SELECT max(b.due_at) FROM webhook_delivery b WHERE b.endpoint = webhook_delivery.endpoint
        AND b."order" = webhook_delivery."order" AND b.id < webhook_delivery.id)
    WHERE endpoint = {{}} AND due_at <= {database.NOW_SQL} AND "order" IN (
        SELECT b."order" FROM webhook_delivery b
        WHERE b.endpoint = {{}} AND b.due_at > {database.NOW_SQL})
    AND {_OLDER_IS_POSTPONED.format(d="webhook_delivery")}"""
_SELECT_DUE = f"""SELECT d.id, d."order", d.customer, d.message, d.body, d.tries
    FROM webhook_delivery d WHERE d.endpoint = {{}} AND d.due_at <= {database.NOW_SQL}
    AND NOT {_OLDER_IS_POSTPONED.format(d="d")} ORDER BY d.id LIMIT {MAX_DELIVERIES_PER_ROUND}"""
_RECORD = database.update_rows(
    {
        "new_state": WebhookDelivery.message,
        "delay": WebhookDelivery.duration_ms,
        "took": WebhookDelivery.duration_ms,
        "code": WebhookDelivery.status_code,
        "text": WebhookDelivery.answer,
        "problem": WebhookDelivery.error,
    },
    {
        WebhookDelivery.state: "{new_state}",
        WebhookDelivery.due_at: "CASE WHEN {delay} IS NULL THEN NULL ELSE "
        + database.LATER_SQL.format(milliseconds="{delay}")
        + " END",
        WebhookDelivery.tries: "tries + 1",
        WebhookDelivery.tried_at: database.NOW_SQL,
        WebhookDelivery.duration_ms: "{took}",
        WebhookDelivery.status_code: "{code}",
        WebhookDelivery.answer: "{text}",
        WebhookDelivery.error: "{problem}",
    },
    # Another worker may have sent it after the end of our lease.
    where="due_at IS NOT NULL",
)
_POSTPONE_ORDER = f"""UPDATE webhook_delivery SET due_at = (
        SELECT b.due_at FROM webhook_delivery b WHERE b.id = {{}})
    WHERE endpoint = {{}} AND "order" = {{}} AND due_at <= {database.NOW_SQL}"""


class DueDelivery(Struct, frozen=True):
    """A delivery that may be sent now."""

    id: int
    order: int | None
    customer: int | None
    message: str
    body: str
    tries: int


# Sends one delivery; None if it may not be sent.
Send = Callable[[DueDelivery], Awaitable[sending.SendResult | None]]


class Round:
    """The sending of some due deliveries of one endpoint.

    Args:
        is_stopping: whether the process stops, so that no further message is sent.
    """

    def __init__(
        self, due: Sequence[DueDelivery], send: Send, is_stopping: Callable[[], bool]
    ) -> None:
        self.results: list[tuple[DueDelivery, sending.SendResult]] = []
        self.accepted = 0
        self.failures: list[str] = []
        self.is_gone = False
        # The seconds for which the endpoint wants no further message.
        self.retry_after = 0.0
        self._send, self._free = send, asyncio.Semaphore(MAX_PARALLEL)
        self._is_stopping = is_stopping
        self.is_full = len(due) == MAX_DELIVERIES_PER_ROUND
        self._end = asyncio.get_running_loop().time() + ROUND_SECONDS
        self._orders: dict[object, list[DueDelivery]] = {}
        for one in due:
            # A test message has no order, and waits for no other.
            self._orders.setdefault(one.order or one.message, []).append(one)

    async def run(self) -> None:
        """Send until all is sent, or until the round is over."""
        async with asyncio.TaskGroup() as group:
            for deliveries in self._orders.values():
                group.create_task(self._send_in_sequence(deliveries))

    async def _send_in_sequence(self, deliveries: Sequence[DueDelivery]) -> None:
        async with self._free:
            for one in deliveries:
                if self._is_over or not await self._send_one(one):
                    return

    async def _send_one(self, delivery: DueDelivery) -> bool:
        """Send one delivery; return whether the next one of its order may follow."""
        result = await self._send(delivery)
        self.results.append((delivery, result or FORBIDDEN))
        if result is None:
            return True
        if result.is_accepted:
            self.accepted += 1
        else:
            self.failures.append(result.error or f"status {result.status_code}")
            self.is_gone = self.is_gone or result.is_gone
            self.retry_after = max(self.retry_after, result.retry_after)
        return result.is_accepted

    @property
    def _is_over(self) -> bool:
        is_down = not self.accepted and len(self.failures) >= MAX_FAILURES
        is_late = asyncio.get_running_loop().time() >= self._end
        is_unwanted = self.is_gone or self.retry_after > 0
        return is_unwanted or is_down or is_late or self._is_stopping()


async def read_due(endpoint: int) -> list[DueDelivery]:
    """Return the deliveries of an endpoint that may be sent now, the oldest first."""
    await WebhookDelivery.raw(_POSTPONE, endpoint, endpoint)
    return [DueDelivery(**row) for row in await WebhookDelivery.raw(_SELECT_DUE, endpoint)]


async def send(
    sender: sending.Sender,
    url: str,
    delivery: DueDelivery,
    signing_secrets: Callable[[datetime], list[str]],
) -> sending.SendResult:
    """Sign and send a delivery."""
    now = datetime.now(UTC)
    headers = messages.signed_headers(delivery.message, delivery.body, signing_secrets(now), at=now)
    result = await sender.send(url, headers, delivery.body)
    outcome = "accepted" if result.is_accepted else "failed"
    instrumentation.count_webhook(outcome, result.duration_ms / 1000)
    return result


def retry_delay_ms(tries: int) -> int | None:
    """Return the pause after this many tries, in milliseconds; None after the last one."""
    if tries > len(RETRY_DELAYS):
        return None
    return int(1000 * RETRY_DELAYS[tries - 1] * random.uniform(1 - JITTER, 1 + JITTER))


async def record_results(
    endpoint: int, results: Sequence[tuple[DueDelivery, sending.SendResult]]
) -> None:
    """Write the results, and postpone the orders whose deliveries were not accepted."""
    delays = [_delay_ms(one, result) for one, result in results]
    rows = [_row(*result, delay) for result, delay in zip(results, delays, strict=True)]
    await _RECORD(rows)
    for (one, _), delay in zip(results, delays, strict=True):
        if delay is not None and one.order is not None:
            await WebhookDelivery.raw(_POSTPONE_ORDER, one.id, endpoint, one.order)


def _delay_ms(delivery: DueDelivery, result: sending.SendResult) -> int | None:
    """Return the pause before the next try of a delivery; None if it has ended."""
    if result.is_accepted or result is FORBIDDEN:
        return None
    delay = retry_delay_ms(delivery.tries + 1)
    return None if delay is None else max(delay, int(1000 * result.retry_after))


def _row(delivery: DueDelivery, result: sending.SendResult, delay: int | None) -> tuple[Any, ...]:
    state = "succeeded" if result.is_accepted else "failed" if delay is None else "pending"
    about = (result.duration_ms, result.status_code, result.answer, result.error)
    return (delivery.id, state, delay, *about)
