"""The keys that sign the tokens: from the settings, or from a file next to the SQLite database."""

import os
import secrets
from functools import cache
from pathlib import Path

from icecream.settings import BadSetting, Settings, checks


def load_keys(current: Settings) -> tuple[str, ...]:
    """Return the key that signs, followed by older keys whose signatures are still accepted.

    Raises:
        BadSetting: the file with the key cannot be used.
    """
    return (
        current.secret_key or _load_or_create_secret(current.database_path),
        *current.previous_secret_keys,
    )


@cache
def _load_or_create_secret(database: Path) -> str:
    """Return the key from the file next to the database; the first start creates it, mode 0600."""
    path = database.with_suffix(".secret")
    try:
        if not path.exists():
            _create_secret(path)
        secret = path.read_text().strip()
    except (OSError, UnicodeError) as error:
        raise BadSetting(f"The secret key in {path} cannot be read or created: {error}") from None
    if not checks.is_secret_key(secret):
        raise BadSetting(
            f"{path} holds no valid secret key: delete it, and the next start creates a new key."
        )
    return secret


def _create_secret(path: Path) -> None:
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(checks.MIN_SECRET_KEY_BYTES))
        file.flush()
        os.fsync(file.fileno())
    try:
        # A hard link appears atomically, and the first of two processes wins.
        path.hardlink_to(draft)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
