"""Hashing, in one thread off the event loop, with a bounded line in front of it.

PBKDF2 with SHA-256 as Piccolo stores it (`pbkdf2_sha256$iterations$salt$hash`), 600,000 rounds as
the OWASP Password Storage Cheat Sheet asks: about 0.2 s of one core, which on the event loop would
stop every other request.
"""

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor

from icecream import errors

ITERATIONS = 600_000
MIN_LENGTH, MAX_LENGTH = 6, 128
# Some ten seconds of work: who stands behind it would have given up.
LINE = 50
# In the form of a stored one, and what no password is hashed to.
NONE = f"pbkdf2_sha256${ITERATIONS}$nobody$x"
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
_waiting = 0


def _hash(password: str, salt: str, iterations: int) -> str:
    # A lone surrogate has no UTF-8; it can be hashed all the same, and matches nothing.
    secret = password.encode("utf-8", "surrogatepass")
    digest = hashlib.pbkdf2_hmac("sha256", secret, salt.encode(), iterations).hex()
    return f"pbkdf2_sha256${iterations}${salt}${digest}"


def require_place() -> None:
    """Refuse early, before anything is looked up or counted.

    Raises:
        errors.Unavailable: the line is full.
    """
    if _waiting >= LINE:
        raise errors.Unavailable("Too many people are signing in right now.")


async def _in_line(password: str, salt: str, iterations: int) -> str:
    global _waiting
    require_place()
    _waiting += 1
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_thread, _hash, password, salt, iterations)
    finally:
        _waiting -= 1


async def hashed(password: str) -> str:
    """Hash a new password for storing.

    Raises:
        ValueError: it is too short or too long.
        errors.Unavailable: the line is full.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return await _in_line(password, secrets.token_hex(16), ITERATIONS)


async def matches(password: str, stored: str | None) -> bool:
    """Whether it is the stored password; just as slow when there is none.

    Raises:
        errors.Unavailable: the line is full.
    """
    _, iterations, salt, _ = (stored or NONE).split("$")
    again = await _in_line(password[: MAX_LENGTH + 1], salt, int(iterations))
    return stored is not None and hmac.compare_digest(again, stored)
