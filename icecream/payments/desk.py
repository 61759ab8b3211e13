"""Charging, so many at a time in this process."""

import asyncio
import logging
from collections.abc import Sequence

from icecream import batches
from icecream.gateway import Gateway, Unknown
from icecream.payments.claims import Claim, claim, postpone
from icecream.payments.settlement import Verdict, settle

log = logging.getLogger(__name__)
# Payments settled in one transaction.
SETTLED = 100
NO_ANSWER = (Unknown, OSError, TimeoutError)


class Desk:
    """Charges at most `places` payments at a time, in this process.

    Args:
        lease: seconds that a claimed payment is ours; longer than `timeout`.
        timeout: seconds to wait for the provider.
    """

    def __init__(self, gateway: Gateway, *, places: int, lease: float, timeout: float) -> None:
        self.gateway, self.places, self.lease, self.timeout = gateway, places, lease, timeout
        self._settling = batches.Batches(settle, most=SETTLED, room=places)
        self._free = asyncio.Semaphore(places)
        # One claim after the other: the places that become free meanwhile are one claim too.
        self._claiming = asyncio.Lock()
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False

    async def charge(self, ids: Sequence[int]) -> None:
        """Charge those of these payments that are due, and wait until they are done."""
        left, started = list(ids), set[asyncio.Task[None]]()
        while left and not self._closing:
            async with self._claiming:
                room = await self._take_places(len(left))
                now, left = left[:room], left[room:]
                started |= await self._start(now, room)
        if started:
            await asyncio.wait(started)

    async def sweep(self) -> bool:
        """Start on what is due, as much as there is room for; True if there may be more."""
        async with self._claiming:
            room = await self._take_places(self.places)
            return len(await self._start(None, room)) > 0

    async def close(self, grace: float) -> None:
        """Claim no more, and give what is under way so many seconds; the intents are committed."""
        self._closing = True
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._settling.close()

    async def _start(self, ids: Sequence[int] | None, room: int) -> set[asyncio.Task[None]]:
        """Claim and begin as many as there are places taken for it; free the other places."""
        claims: list[Claim] = []
        try:
            if not self._closing:
                claims = await claim(ids, limit=room, lease=self.lease)
        finally:
            for _ in range(room - len(claims)):
                self._free.release()
        return {self._begin(claim) for claim in claims}

    async def _take_places(self, most: int) -> int:
        """Wait for one free place, and take as many more as are free right now."""
        taken = 0
        while taken == 0 or (taken < most and not self._free.locked()):
            await self._free.acquire()
            taken += 1
        return taken

    def _begin(self, claim: Claim) -> asyncio.Task[None]:
        task = asyncio.create_task(self._carry_out(claim), name=f"payment {claim.payment}")
        self._running.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._free.release()
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # The lease runs out, and the same key is sent again.
            log.error("%s was left as it is: %r", task.get_name(), error, exc_info=error)

    async def _carry_out(self, claim: Claim) -> None:
        try:
            async with asyncio.timeout(self.timeout):
                answer = await self.gateway.charge(claim.charge)
        except NO_ANSWER as error:
            log.warning("Payment %s has no definite answer: %r", claim.payment, error)
            await postpone(claim, repr(error))
        else:
            await self._settling.ask(Verdict(claim, answer))
