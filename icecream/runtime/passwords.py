"""Password hashing in one thread outside of the event loop, with a bounded and fair queue.

Hashes are PBKDF2 with SHA-256 in Piccolo's format (`pbkdf2_sha256$iterations$salt$hash`). The
600,000 rounds follow the OWASP Password Storage Cheat Sheet. They cost about 0.2 s of one core,
which would block all other requests on the event loop.
"""

import asyncio
import hashlib
import heapq
import hmac
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import NamedTuple

from icecream import errors
from icecream.runtime.common_passwords import COMMON_PASSWORDS

ITERATIONS = 600_000
# NIST SP 800-63B, 3.1.1.2: no shorter and no common passwords, and no rules of composition.
MIN_LENGTH = 8
MAX_LENGTH = 128
# About ten seconds of work; a client would not wait longer. Clients with failed sign-ins get at
# most half of the places.
MAX_WAITING = 50
MAX_WAITING_WITH_FAILURES = 25
MAX_WAITING_PER_CLIENT = 5
# In the format of a stored hash, but no password has it.
UNMATCHABLE_HASH = f"pbkdf2_sha256${ITERATIONS}$unknown$x"
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")


class Client(NamedTuple):
    """The origin of a request that needs a hash."""

    address: str
    has_failed: bool


# The client of the current request; a command of ours has none.
client: ContextVar[Client | None] = ContextVar("client", default=None)


class HashingQueue:
    """The requests that wait for the thread; those of clients without failures come first."""

    def __init__(self) -> None:
        self._is_busy = False
        # Ordered by failure, then by arrival.
        self._waiting: list[tuple[bool, int, asyncio.Future[None]]] = []
        self._arrivals = itertools.count()
        self._places: Counter[str] = Counter()

    def require_free_place(self, client: Client | None) -> None:
        """Refuse a client that has no place.

        Raises:
            errors.Unavailable: the queue is full.
            errors.QuotaExceeded: the client has too many places already.
        """
        limit = MAX_WAITING_WITH_FAILURES if client and client.has_failed else MAX_WAITING
        if self._places.total() >= limit:
            raise errors.Unavailable("Too many sign-ins right now; try again in a second.")
        if client and self._places[client.address] >= MAX_WAITING_PER_CLIENT:
            refusal = errors.QuotaExceeded("Too many sign-ins at once; try again in a second.")
            refusal.headers["Retry-After"] = "1"
            raise refusal

    @asynccontextmanager
    async def turn(self, client: Client | None) -> AsyncIterator[None]:
        """Wait until the thread is free for this client."""
        self.require_free_place(client)
        address = client.address if client else ""
        self._places[address] += 1
        try:
            await self._wait(is_last=client is not None and client.has_failed)
            try:
                yield
            finally:
                self._end_turn()
        finally:
            self._places[address] -= 1
            self._places += Counter()  # Removes what is zero.

    async def _wait(self, *, is_last: bool) -> None:
        if not self._is_busy:
            self._is_busy = True
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (is_last, next(self._arrivals), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                # It was this client's turn already.
                self._end_turn()
            raise

    def _end_turn(self) -> None:
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                turn.set_result(None)
                return
        self._is_busy = False


_queue = HashingQueue()


def _hash(password: str, salt: str, iterations: int) -> str:
    # A lone surrogate cannot be encoded as UTF-8. It is still hashed, and matches nothing.
    secret = password.encode("utf-8", "surrogatepass")
    digest = hashlib.pbkdf2_hmac("sha256", secret, salt.encode(), iterations).hex()
    return f"pbkdf2_sha256${iterations}${salt}${digest}"


def require_free_place() -> None:
    """Refuse the current client early, before other work; see `HashingQueue`."""
    _queue.require_free_place(client.get())


async def _hash_in_thread(password: str, salt: str, iterations: int) -> str:
    async with _queue.turn(client.get()):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_thread, _hash, password, salt, iterations)


def require_allowed(password: str) -> None:
    """Refuse a new password that is easy to guess.

    Raises:
        ValueError: it is too short, too long, or common.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"A password must have {MIN_LENGTH} to {MAX_LENGTH} characters.")
    if password.lower() in COMMON_PASSWORDS:
        raise ValueError("This password is one of the most common ones; choose another one.")


async def hash_password(password: str) -> str:
    """Hash a new password for storage.

    Raises:
        ValueError: it is too short, too long, or common.
        errors.Unavailable: the queue is full.
        errors.QuotaExceeded: the client has too many places in it.
    """
    require_allowed(password)
    return await _hash_in_thread(password, secrets.token_hex(16), ITERATIONS)


async def verify_password(password: str, stored: str | None) -> bool:
    """Return whether the password matches the stored hash; without one it takes as long.

    Raises:
        errors.Unavailable: the queue is full.
        errors.QuotaExceeded: the client has too many places in it.
    """
    _, iterations, salt, _ = (stored or UNMATCHABLE_HASH).split("$")
    computed = await _hash_in_thread(password[: MAX_LENGTH + 1], salt, int(iterations))
    return stored is not None and hmac.compare_digest(computed, stored)
