"""All settings, read once from the environment and `.env`; a bad one stops the start."""

import os
import re
from datetime import UTC, date, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec
from dotenv import dotenv_values
from msgspec import Meta, Struct

from icecream import constraints, money, stripe_units
from icecream.settings import checks

VARIABLE_PREFIX = "ICECREAM_"
# A process writes a batch and reads at the same time.
MIN_DATABASE_CONNECTIONS = 2
# The default intervals of the sweep, which finds the work of lost notifications. It runs often
# where it costs nothing (one process and its file), and less often where many workers query one
# PostgreSQL.
EMBEDDED_SWEEP_SECONDS = 1.0
WORKER_SWEEP_SECONDS = 5.0
# The path of a public URL. Paths that begin like our own are excluded, because they are ambiguous.
PUBLIC_URL_PATH_PATTERN = re.compile(
    r"(?!/(admin|api|assets|dashboard|health|metrics|pages|problems|schema|set-password|shop"
    r"|sign-in|sign-out|staff)(/|$))(/[\w.~-]+)*/?",
    re.ASCII,
)

# `words` describes the allowed values in the error message, instead of the pattern.
RedisPrefix = Annotated[
    str, Meta(pattern=r"^[\w:.-]+$", extra={"words": "letters, digits and any of _ : . -"})
]
Delay = Annotated[
    str,
    Meta(
        pattern=r"^\d+(\.\d+)?(-\d+(\.\d+)?)?$",
        extra={"words": "seconds, or a range of seconds such as 0.5-2"},
    ),
]
VALID_PORT_RULE = "an address with a valid port"
SECRET_KEY_RULE = f"at least {checks.MIN_SECRET_KEY_BYTES} random bytes"

# Shorter pauses would keep a processor busy, and no service answers in a shorter time.
Seconds = Annotated[float, Meta(ge=0.01, le=86_400)]


class BadSetting(Exception):
    """A line with the name of a wrong setting and the valid values."""


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The field `database_url` is the variable `ICECREAM_DATABASE_URL`, and so on."""

    database_url: str = "sqlite:///var/icecream.sqlite"
    database_connections: Annotated[int, Meta(ge=MIN_DATABASE_CONNECTIONS, le=200)] = 20
    redis_url: str | None = None
    redis_prefix: RedisPrefix = "icecream"
    secret_key: str | None = None
    previous_secret_keys: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    public_url: str | None = None
    trusted_proxies: tuple[str, ...] = ()
    keepalive: Annotated[int, Meta(ge=1, le=86_400)] = 75
    cors_origins: tuple[str, ...] = ()
    admin_password: Annotated[str, Meta(min_length=8, max_length=128)] | None = None
    payment_provider: Literal["simulated", "stripe"] = "simulated"
    stripe_api_key: str | None = None
    stripe_webhook_secret: str | None = None
    stripe_api_base: str = "https://api.stripe.com"
    payment_delay: Delay = "0.5-2"
    payment_failure_rate: Annotated[float, Meta(ge=0, le=1)] = 0.1
    payment_timeout: Seconds = 10.0
    lease: Seconds = 30.0
    sweep: Seconds | None = None
    currency: str = "EUR"
    locale: str = money.DEFAULT_LOCALE
    time_zone: str = checks.UTC
    default_price: Annotated[int, Meta(ge=0, le=100_000_000)] = 250
    flavors_added_by: Literal["anyone", "staff"] | None = None
    rate_limit: str = "6000/minute"
    metrics_token: Annotated[str, Meta(min_length=16)] | None = None
    webhook_private_networks: tuple[str, ...] = ()
    log_format: Literal["pretty", "json"] = "pretty"

    def __post_init__(self) -> None:
        self._check_database()
        self._check_redis()
        self._check_web()
        self._check_secrets()
        self._check_provider()
        low, high = self.payment_delays
        _require(low <= high, "payment_delay", "a range from low to high, such as 0.5-2")
        # Only the simulated provider uses the delay.
        _require(
            high < self.payment_timeout or self.payment_provider != "simulated",
            "payment_timeout",
            "a time longer than ICECREAM_PAYMENT_DELAY",
        )
        _require(
            self.lease > self.payment_timeout,
            "lease",
            "a time longer than ICECREAM_PAYMENT_TIMEOUT",
        )
        _require(
            money.decimal_places(self.currency) is not None,
            "currency",
            f"an ISO 4217 currency such as EUR, not {self.currency!r}",
        )
        _require(
            self.locale == money.DEFAULT_LOCALE or checks.is_locale(self.locale),
            "locale",
            f"a locale such as en, de or fr_CH, not {self.locale!r}",
        )
        _require(
            checks.is_time_zone(self.time_zone),
            "time_zone",
            f"an IANA time zone such as UTC or Europe/Berlin, not {self.time_zone!r}",
        )
        _require(
            self.default_price % self.amount_step == 0,
            "default_price",
            f"a multiple of {self.amount_step}: Stripe accepts no other amounts in {self.currency}",
        )
        _require(
            checks.is_rate(self.rate_limit),
            "rate_limit",
            "a number and a period, such as 6000/minute",
        )

    def _check_database(self) -> None:
        _require(
            checks.is_database_address(self.database_url),
            "database_url",
            "an address with a valid port (several hosts: postgresql://user:password@a:1,b:2/name)",
        )
        known = ("sqlite:///", "postgresql://", "postgres://")
        _require(
            self.database_url.startswith(known),
            "database_url",
            "sqlite:///path/to/file.sqlite or postgresql://user:password@host/name",
        )
        _require(
            not self.embedded or checks.is_file(self.database_url.removeprefix("sqlite:///")),
            "database_url",
            "sqlite:/// and the path of a file, without options (not a database in memory)",
        )

    def _check_redis(self) -> None:
        if self.redis_url is None:
            return
        _require(checks.is_address(self.redis_url), "redis_url", VALID_PORT_RULE)
        _require(
            self.redis_url.startswith(("redis://", "rediss://", "unix://")),
            "redis_url",
            "redis://host:6379/0",
        )
        _require(
            not self.embedded,
            "redis_url",
            "nothing with SQLite, because its single process needs no Redis, "
            "or set ICECREAM_DATABASE_URL to a postgresql:// address",
        )
        problem = checks.find_redis_problem(self.redis_url)
        _require(not problem, "redis_url", f"an address with valid options ({problem})")

    def _check_web(self) -> None:
        for name in ("public_url", "stripe_api_base"):
            address = getattr(self, name) or "https://unset"
            _require(checks.is_address(address), name, VALID_PORT_RULE)
            web = urlsplit(address)
            plain = not (web.query or web.fragment or web.username)
            _require(
                web.scheme in ("http", "https") and bool(web.hostname) and plain,
                name,
                "https://your.host",
            )
        _require(
            PUBLIC_URL_PATH_PATTERN.fullmatch(urlsplit(self.public_url or "").path) is not None,
            "public_url",
            "https://your.host, or with a path that the service does not use itself: https://your.host/ice",
        )
        for origin in self.cors_origins:
            _require(
                checks.is_origin(origin),
                "cors_origins",
                f"origins as browsers send them, such as https://shop.example, not {origin!r} "
                "(only a scheme, a host and an optional port)",
            )
        for name in ("trusted_proxies", "webhook_private_networks"):
            for network in getattr(self, name):
                _require(
                    checks.is_network(network),
                    name,
                    f"IP addresses or networks such as 10.0.0.7 or 10.0.0.0/8, not {network!r}",
                )

    def _check_secrets(self) -> None:
        if self.secret_key is None:
            _require(self.embedded, "secret_key", SECRET_KEY_RULE)
        for name in ("secret_key", "previous_secret_keys"):
            keys = getattr(self, name) or ()
            for key in (keys,) if isinstance(keys, str) else keys:
                _require(checks.is_secret_key(key), name, SECRET_KEY_RULE)

    def _check_provider(self) -> None:
        if self.payment_provider == "stripe":
            _require(
                (self.stripe_api_key or "").startswith(("sk_", "rk_")),
                "stripe_api_key",
                "your secret key, sk_... or rk_...",
            )
            _require(
                (self.stripe_webhook_secret or "whsec_").startswith("whsec_"),
                "stripe_webhook_secret",
                "the secret of the endpoint at Stripe, whsec_...",
            )
            _require(
                find_spec("stripe") is not None,
                "payment_provider",
                "simulated, or install Stripe's SDK: pip install 'icecream-distribution[stripe]'",
            )

    @property
    def embedded(self) -> bool:
        """Whether this is one process on SQLite that also runs the worker."""
        return self.database_url.startswith("sqlite:")

    @property
    def database_path(self) -> Path:
        """The SQLite file; `sqlite:///a` is relative, `sqlite:////a` is absolute."""
        return Path(self.database_url.removeprefix("sqlite:///"))

    @property
    def database_label(self) -> str:
        """The database address for display, without user, password and options."""
        if self.embedded:
            return str(self.database_path.absolute())
        parts = urlsplit(self.database_url)
        return f"postgresql://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def payment_delays(self) -> tuple[float, float]:
        """The shortest and the longest time in seconds that a simulated payment takes."""
        low, _, high = self.payment_delay.partition("-")
        return float(low), float(high or low)

    @property
    def needs_payment_method(self) -> bool:
        """Whether the provider charges only a registered payment method of the customer."""
        return self.payment_provider != "simulated"

    @property
    def zone(self) -> ZoneInfo:
        """The time zone of the pages and of CSV."""
        return ZoneInfo(self.time_zone)

    @property
    def amount_step(self) -> int:
        """All amounts are multiples of this many minor units; the provider accepts no others."""
        return stripe_units.smallest_step(self.currency) if self.payment_provider == "stripe" else 1

    @property
    def staff_alone_add_flavors(self) -> bool:
        """Whether only staff may add flavors; by default, only where real money is moved."""
        if self.flavors_added_by is None:
            return self.needs_payment_method
        return self.flavors_added_by == "staff"

    @property
    def sweep_every(self) -> float:
        """The seconds between two sweeps."""
        if self.sweep is not None:
            return self.sweep
        return EMBEDDED_SWEEP_SECONDS if self.embedded else WORKER_SWEEP_SECONDS

    @property
    def address(self) -> str:
        """The URL of the service, without a slash at the end."""
        # A server that listens on all interfaces is reached here by the loopback address.
        all_interfaces = "0.0.0.0"  # nosec B104  # compared, not bound
        host = {all_interfaces: "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        host = f"[{host}]" if ":" in host else host
        return (self.public_url or f"http://{host}:{self.port}").rstrip("/")

    @property
    def secrets(self) -> list[str]:
        """Values that must never appear in the log; `logs` also hides passwords in addresses."""
        found = [self.secret_key, *self.previous_secret_keys, self.admin_password]
        found += [self.stripe_api_key, self.stripe_webhook_secret, self.metrics_token]
        return [secret for secret in found if secret]

    @property
    def prefix(self) -> str:
        """The path of the public URL: `/ice` in `https://your.host/ice`; usually empty."""
        return urlsplit(self.address).path


def _require(condition: bool, name: str, valid_values: str) -> None:
    if not condition:
        raise BadSetting(f"{VARIABLE_PREFIX}{name.upper()}: set it to {valid_values}.")


def _explain(problem: constraints.FieldProblem) -> str:
    variable = VARIABLE_PREFIX + problem.steps[0].upper()
    if problem.code == "unknown-field":
        names = [VARIABLE_PREFIX + known.upper() for known in Settings.__struct_fields__]
        return f"{variable}: there is no such setting{constraints.suggest_name(variable, names)}."
    # A setting cannot be set to null, only be left out.
    valid_values = problem.predicate.removeprefix("must be ").removesuffix(", or null")
    return f"{variable}: set it to {valid_values}."


def parse_settings(variables: dict[str, str]) -> Settings:
    """Convert `ICECREAM_...` variables into settings; an empty variable counts as unset.

    Raises:
        BadSetting: a setting is wrong; its text is one line for the operator.
    """
    lists = (
        "previous_secret_keys",
        "trusted_proxies",
        "cors_origins",
        "webhook_private_networks",
    )
    values: dict[str, object] = {}
    for variable, value in variables.items():
        name = variable.removeprefix(VARIABLE_PREFIX).lower()
        if variable.startswith(VARIABLE_PREFIX) and value:
            _require(value.isprintable(), name, "printable text")
            values[name] = [item.strip() for item in value.split(",")] if name in lists else value
    # msgspec would treat the word "null" as a setting that was left out.
    if misread := constraints.find_misread_field(Settings, values):
        raise BadSetting(_explain(misread))
    try:
        return msgspec.convert(values, Settings, strict=False)
    except msgspec.ValidationError as error:
        # msgspec wraps errors of __post_init__ only if they are ValueError or TypeError.
        raise BadSetting(_explain(constraints.explain_error(error, Settings))) from None


@cache
def load() -> Settings:
    """Read the environment; missing variables come from `.env` in the current folder."""
    from_file = {name: value or "" for name, value in dotenv_values(".env").items()}
    return parse_settings(from_file | dict(os.environ))


def local_date(at: datetime) -> date:
    """Return the day of a time in the installation's time zone; `at` is in UTC."""
    current = load()
    return at.date() if current.time_zone == "UTC" else at.astimezone(current.zone).date()


def today() -> date:
    """Return the current day in the installation's time zone."""
    return local_date(datetime.now(UTC))
