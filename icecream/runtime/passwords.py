"""Password hashing in one thread outside of the event loop, with a bounded queue.

Hashes are PBKDF2 with SHA-256 in Piccolo's format (`pbkdf2_sha256$iterations$salt$hash`). The
600,000 rounds follow the OWASP Password Storage Cheat Sheet. They cost about 0.2 s of one core,
which would block all other requests on the event loop.
"""

import asyncio
import hashlib
import hmac
import secrets
from concurrent.futures import ThreadPoolExecutor

from icecream import errors

ITERATIONS = 600_000
MIN_LENGTH = 6
MAX_LENGTH = 128
# About ten seconds of work; a client would not wait longer.
MAX_WAITING = 50
# In the format of a stored hash, but no password has it.
UNMATCHABLE_HASH = f"pbkdf2_sha256${ITERATIONS}$unknown$x"
_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="passwords")
_waiting = 0


def _hash(password: str, salt: str, iterations: int) -> str:
    # A lone surrogate cannot be encoded as UTF-8. It is still hashed, and matches nothing.
    secret = password.encode("utf-8", "surrogatepass")
    digest = hashlib.pbkdf2_hmac("sha256", secret, salt.encode(), iterations).hex()
    return f"pbkdf2_sha256${iterations}${salt}${digest}"


def require_free_place() -> None:
    """Refuse early if the queue is full, before other work.

    Raises:
        errors.Unavailable: the queue is full.
    """
    if _waiting >= MAX_WAITING:
        raise errors.Unavailable("Too many sign-ins right now; try again in a second.")


async def _hash_in_thread(password: str, salt: str, iterations: int) -> str:
    global _waiting
    require_free_place()
    _waiting += 1
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_thread, _hash, password, salt, iterations)
    finally:
        _waiting -= 1


async def hash_password(password: str) -> str:
    """Hash a new password for storage.

    Raises:
        ValueError: it is too short or too long.
        errors.Unavailable: the queue is full.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"A password must have {MIN_LENGTH} to {MAX_LENGTH} characters.")
    return await _hash_in_thread(password, secrets.token_hex(16), ITERATIONS)


async def verify_password(password: str, stored: str | None) -> bool:
    """Return whether the password matches the stored hash; without one it takes as long.

    Raises:
        errors.Unavailable: the queue is full.
    """
    _, iterations, salt, _ = (stored or UNMATCHABLE_HASH).split("$")
    computed = await _hash_in_thread(password[: MAX_LENGTH + 1], salt, int(iterations))
    return stored is not None and hmac.compare_digest(computed, stored)
