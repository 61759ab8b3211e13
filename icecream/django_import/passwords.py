"""Django's password hashes in our format; the passwords themselves stay valid."""

import base64
import binascii
import re

from icecream.runtime import passwords

# The algorithm that Django uses by default. The hash is in base64, and ours in hexadecimal digits.
_PBKDF2 = re.compile(r"pbkdf2_sha256\$([1-9][0-9]{0,8})\$([^$]+)\$([A-Za-z0-9+/]{43}=)")


def convert_hash(stored: str) -> str | None:
    """Return a hash of Django in our format; None if its algorithm is not ours.

    Also an account without a usable password, which Django marks with `!`, has none here.
    """
    found = _PBKDF2.fullmatch(stored)
    if found is None:
        return None
    iterations, salt, digest = found.groups()
    try:
        return f"pbkdf2_sha256${iterations}${salt}${base64.b64decode(digest, validate=True).hex()}"
    except binascii.Error:
        return None


# No password matches it: the account needs a new one.
NO_PASSWORD = passwords.UNMATCHABLE_HASH
