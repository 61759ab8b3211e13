"""Checks of addresses, origins, networks, rates and time zones in settings."""

import ipaddress
import zoneinfo
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import limits

UTC = "UTC"
# The zone of the machine, under another name, and a placeholder.
NO_TIME_ZONES = {"localtime", "Factory"}
# A worker's blocking read from Redis waits this long.
REDIS_BLOCK_SECONDS = 1
# RFC 7518, 3.2: an HS256 key must be at least as long as the hash.
MIN_SECRET_KEY_BYTES = 32
# Random keys have more, also in hexadecimal digits; a repeated word or character has fewer.
MIN_DISTINCT_CHARACTERS = 8


def is_secret_key(text: str) -> bool:
    """Return whether the text is long enough for a key, and not one word repeated."""
    is_long = len(text.encode()) >= MIN_SECRET_KEY_BYTES
    return is_long and len(set(text)) >= MIN_DISTINCT_CHARACTERS


def is_address(text: str) -> bool:
    """Return whether the text has no port, or a valid one."""
    try:
        return urlsplit(text).port != 0
    except ValueError:
        return False


def is_file(path: str) -> bool:
    """Return whether SQLite opens a plain file; `:memory:` and `file:...?mode=` are not files."""
    return bool(path) and not path.startswith((":", "file:")) and "?" not in path


def is_locale(name: str) -> bool:
    """Return whether Babel has data of this locale; Babel itself is imported only where needed."""
    spec = find_spec("babel")
    folder = Path(spec.origin if spec and spec.origin else "").parent / "locale-data"
    known = {path.stem for path in folder.glob("*.dat")}
    return name in known - {"root"}


def is_time_zone(name: str) -> bool:
    """Return whether this is the name of a time zone in the IANA database."""
    # All names are looked up only for others than the default: they are files in folders.
    return name == UTC or name in zoneinfo.available_timezones() - NO_TIME_ZONES


def is_database_address(text: str) -> bool:
    """Return whether the text is an address, perhaps of several hosts as PostgreSQL allows."""
    try:
        hosts = urlsplit(text).netloc.rpartition("@")[2].split(",")
    except ValueError:
        return False
    return all(is_address(f"//{host}") and (host or len(hosts) == 1) for host in hosts)


def find_redis_problem(url: str) -> str | None:
    """Return the error in the options of a Redis address; only the Redis client can check them."""
    # Imported only where Redis is used: the import takes as long as all the others together.
    from redis.asyncio import ConnectionPool
    from redis.exceptions import RedisError

    try:
        pool = ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)
    except (RedisError, TypeError, ValueError) as error:
        return str(error).removeprefix("AbstractConnection.__init__() got an ")
    options = pool.connection_kwargs
    if options.get("decode_responses"):
        return "decode_responses: messages are bytes"
    if (seconds := options.get("socket_timeout")) is not None and seconds <= REDIS_BLOCK_SECONDS:
        return f"socket_timeout: longer than {REDIS_BLOCK_SECONDS} s, the wait for a message"
    for name in ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile"):
        if (path := options.get(name)) and not Path(path).is_file():
            return f"{name}: there is no file {path}"
    return None


def is_origin(text: str) -> bool:
    """Return whether a browser may send this as `Origin` (RFC 6454, 6.2); `*` means all origins.

    An origin is in lower case, and has no port if it is the default port of the scheme.
    """
    if text == "*":
        return True
    if not is_address(text):
        return False
    parts = urlsplit(text)
    bare = text == f"{parts.scheme}://{parts.netloc}".lower()
    implied = {"http": 80, "https": 443}
    return (
        bare
        and parts.scheme in implied
        and bool(parts.hostname)
        and parts.username is None
        and parts.port != implied[parts.scheme]
    )


def is_network(text: str) -> bool:
    """Return whether the text is an IP address or a network in CIDR notation."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_rate(text: str) -> bool:
    """Return whether the text is one rate of `limits`, such as 6000/minute."""
    try:
        return ";" not in text and limits.parse(text).amount > 0
    except ValueError:
        return False
