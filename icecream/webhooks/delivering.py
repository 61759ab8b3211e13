"""Delivering: workers lease endpoints, and send each one's due deliveries in rounds.

An endpoint has a lease, so one worker at a time sends to it, and each endpoint has its own round: a
slow one delays no other. In a round, several orders are sent at the same time, and the deliveries
of one order one after the other. The results are written after the round; if the process is killed
before that, the next worker sends these deliveries again.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from contextvars import Context
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from piccolo.columns.combination import WhereRaw

from icecream import database
from icecream.runtime import logs
from icecream.runtime.failpoints import reach_failpoint
from icecream.tables import WebhookEndpoint
from icecream.webhooks import endpoints, rounds, sending

log = logging.getLogger(__name__)
# The endpoints to which a process sends at the same time. Endpoints that fail use at most half, so
# that their timeouts do not delay the others.
MAX_ROUNDS = 50
MAX_FAILING_ROUNDS = 25
# Longer than a round, its last message and the writing of its results.
LEASE_SECONDS = 60.0
# The pause of an endpoint after a round in which it accepted nothing; it doubles with each one.
MIN_PAUSE_SECONDS = 5.0
MAX_PAUSE_SECONDS = 300.0
# Standard Webhooks 1.0.0: an endpoint that fails for days should be disabled.
DISABLE_AFTER = timedelta(days=5)
_HAS_DUE = WhereRaw(
    "EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.endpoint = webhook_endpoint.id"
    f" AND d.due_at <= {database.NOW_SQL})"
    ' AND EXISTS (SELECT 1 FROM users u WHERE u.id = webhook_endpoint."user" AND u.active = true)'
)


class LeasedEndpoint(Struct, frozen=True):
    """An endpoint to which this process may send, until the lease ends."""

    id: int
    user: int
    is_staff: bool
    url: str
    secret: str
    previous_secret: str | None
    previous_secret_until: datetime | None
    lease: int
    failures: int
    failing_since: datetime | None

    def signing_secrets(self, now: datetime) -> list[str]:
        """Return the secrets that sign a message now."""
        until = self.previous_secret_until
        if self.previous_secret and until is not None and until > now:
            return [self.secret, self.previous_secret]
        return [self.secret]


class Deliverer:
    """Sends due deliveries.

    Args:
        private_networks: messages may be sent there too, also without TLS.
    """

    def __init__(self, private_networks: Sequence[str]) -> None:
        self._private_networks = private_networks
        self._running: dict[asyncio.Task[None], bool] = {}
        self._is_closing = False

    async def sweep(self) -> bool:
        """Lease endpoints with due deliveries and start a round for each; never wait for one."""
        for is_failing in (False, True):
            free = self._free_rounds(is_failing)
            if free > 0 and not self._is_closing:
                for endpoint in await _acquire_leases(free, is_failing=is_failing):
                    task = asyncio.create_task(self._deliver(endpoint), context=Context())
                    self._running[task] = is_failing
                    task.add_done_callback(self._running.pop)
        return False

    def _free_rounds(self, is_failing: bool) -> int:
        free = MAX_ROUNDS - len(self._running)
        failing = sum(self._running.values())
        return min(free, MAX_FAILING_ROUNDS - failing) if is_failing else free

    async def _deliver(self, endpoint: LeasedEndpoint) -> None:
        with logs.log_errors(log, f"Sending to webhook endpoint {endpoint.id}"):
            end = asyncio.get_running_loop().time() + rounds.ROUND_SECONDS
            sender = sending.Sender(self._private_networks)
            try:
                while await self._run_round(endpoint, sender, end):
                    pass
            except database.DATABASE_UNAVAILABLE as error:
                logs.DATABASE_OUTAGE.record_failure(error)
            finally:
                await sender.close()

    async def _run_round(
        self, endpoint: LeasedEndpoint, sender: sending.Sender, end: float
    ) -> bool:
        """Run one round, and return whether the next one may follow at once."""
        due = await rounds.read_due(endpoint.id)
        one_round = rounds.Round(
            due, lambda one: _send(endpoint, sender, one), lambda: self._is_closing
        )
        await one_round.run()
        reach_failpoint("deliveries.sent")
        follows = (
            one_round.is_full
            and not one_round.failures
            and not self._is_closing
            and asyncio.get_running_loop().time() < end
        )
        has_lease = await database.transaction(lambda: _record(endpoint, one_round, follows))
        reach_failpoint("deliveries.recorded")
        await _disable_if_needed(endpoint, one_round)
        return follows and has_lease

    async def close(self, seconds: float) -> None:
        """Send no further message, and give those in flight this time to be answered."""
        self._is_closing = True
        if self._running:
            await asyncio.wait(list(self._running), timeout=seconds)
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def wait_until_idle(self) -> None:
        """Wait for the rounds that are running."""
        while self._running:
            await asyncio.wait(list(self._running))


async def _send(
    endpoint: LeasedEndpoint, sender: sending.Sender, delivery: rounds.DueDelivery
) -> sending.SendResult | None:
    """Send one delivery; None if the user may not see the order any more."""
    if not endpoint.is_staff and delivery.customer not in (None, endpoint.user):
        return None
    return await rounds.send(sender, endpoint.url, delivery, endpoint.signing_secrets)


async def _acquire_leases(limit: int, *, is_failing: bool) -> list[LeasedEndpoint]:
    state = WebhookEndpoint.failing_since
    due = WebhookEndpoint.select(WebhookEndpoint.id).where(
        WebhookEndpoint.disabled_at.is_null(),
        WebhookEndpoint.deleted_at.is_null(),
        WebhookEndpoint.next_round_at <= database.seconds_from_now(0),
        state.is_not_null() if is_failing else state.is_null(),
        _HAS_DUE,
    )
    due = due.order_by(WebhookEndpoint.next_round_at).limit(limit)
    if not await due:
        # Usually. This read takes no lock.
        return []

    async def acquire() -> list[LeasedEndpoint]:
        ids = [row["id"] for row in await database.for_update_skip_locked(due)]
        if not ids:
            # Another worker was quicker, or the user disabled the endpoint just now.
            return []
        leased: dict[Any, Any] = {
            WebhookEndpoint.next_round_at: database.seconds_from_now(LEASE_SECONDS),
            WebhookEndpoint.lease: WebhookEndpoint.lease + 1,
        }
        ours = database.is_any(WebhookEndpoint.id, ids)
        await WebhookEndpoint.update(leased).where(ours)
        columns = (one for one in LeasedEndpoint.__struct_fields__ if one != "is_staff")
        staff = WebhookEndpoint.user.admin.as_alias("is_staff")
        return [
            LeasedEndpoint(**row)
            for row in await WebhookEndpoint.select(
                *map(WebhookEndpoint._meta.get_column_by_name, columns), staff
            ).where(ours)
        ]

    leases = await database.transaction(acquire)
    reach_failpoint("deliveries.leased")
    return leases


async def _record(endpoint: LeasedEndpoint, one_round: rounds.Round, follows: bool) -> bool:
    """Write the results of a round, and end the lease unless another round follows.

    Returns:
        Whether the endpoint was still leased.
    """
    await rounds.record_results(endpoint.id, one_round.results)
    pause = LEASE_SECONDS if follows else one_round.retry_after
    changed: dict[Any, Any] = {}
    if one_round.accepted:
        changed |= {WebhookEndpoint.failures: 0, WebhookEndpoint.failing_since: None}
    elif one_round.failures:
        own = min(MIN_PAUSE_SECONDS * 2 ** min(endpoint.failures, 10), MAX_PAUSE_SECONDS)
        pause = max(pause, own * random.uniform(0.75, 1.25))
        since = endpoint.failing_since or database.seconds_from_now(0)
        changed |= {
            WebhookEndpoint.failures: endpoint.failures + 1,
            WebhookEndpoint.failing_since: since,
        }
    changed[WebhookEndpoint.next_round_at] = database.seconds_from_now(pause)
    is_leased = WebhookEndpoint.lease == endpoint.lease
    update = WebhookEndpoint.update(changed).where(WebhookEndpoint.id == endpoint.id, is_leased)
    return bool(await update.returning(WebhookEndpoint.id))


async def _disable_if_needed(endpoint: LeasedEndpoint, one_round: rounds.Round) -> None:
    if one_round.is_gone:
        await endpoints.disable_endpoint(endpoint.id, "It answered 410 Gone.")
    elif (
        one_round.failures
        and not one_round.accepted
        and endpoint.failing_since is not None
        and await database.now() - endpoint.failing_since >= DISABLE_AFTER
    ):
        since = endpoint.failing_since.date()
        reason = f"It has accepted no message since {since}: {one_round.failures[-1]}"
        await endpoints.disable_endpoint(endpoint.id, reason[:200])
