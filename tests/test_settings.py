"""Test how settings are read, and the one line that reports a bad setting."""

import stat
from pathlib import Path

import pytest

from icecream import settings
from icecream.settings import signing_keys

KEY = "a key that only these tests use, long enough"
LARGE = {"ICECREAM_DATABASE_URL": "postgresql://db/icecream", "ICECREAM_SECRET_KEY": KEY}


def test_all_settings_have_defaults() -> None:
    plain = settings.parse_settings({"PATH": "/bin", "ICECREAM_REDIS_URL": ""})
    assert plain.embedded
    assert plain.database_path == Path("var/icecream.sqlite")
    assert (plain.payment_delays, plain.payment_failure_rate) == ((0.5, 2.0), 0.1)
    assert (plain.sweep_every, settings.parse_settings(LARGE).sweep_every) == (1.0, 5.0)
    assert plain.address == "http://127.0.0.1:8000"
    assert plain.keepalive == 75


def test_values_are_converted() -> None:
    read = settings.parse_settings(
        LARGE
        | {
            "ICECREAM_PORT": "9000",
            "ICECREAM_HOST": "::1",
            "ICECREAM_PAYMENT_DELAY": "0",
            "ICECREAM_SWEEP": "0.2",
            "ICECREAM_CORS_ORIGINS": "https://a.example, http://[::1]:3000, http://b.example",
            "ICECREAM_TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8, ::1",
            "ICECREAM_REDIS_URL": "redis://cache/0",
        }
    )
    assert (read.port, read.payment_delays, read.sweep_every) == (9000, (0.0, 0.0), 0.2)
    assert read.cors_origins == ("https://a.example", "http://[::1]:3000", "http://b.example")
    assert read.trusted_proxies == ("127.0.0.1", "10.0.0.0/8", "::1")
    assert read.address == "http://[::1]:9000"
    assert not read.embedded


BAD_ORIGINS = [
    *("https://shop.example/", "https://shop.example/ice", "shop.example", "https://", "null"),
    *("https://shop.example?x", "https://shop.example:abc", "https://me@shop.example", "ftp://a"),
    *("https://Shop.example", "https://shop.example:443", "http://[::1"),
]


def test_a_database_may_have_several_hosts() -> None:
    address = "postgresql://u:p@a:1,b:2/shop?target_session_attrs=read-write"
    read = settings.parse_settings(LARGE | {"ICECREAM_DATABASE_URL": address})
    assert (read.embedded, read.database_label) == (False, "postgresql://a:1,b:2/shop")


BAD = [
    ("DATABASE_URL", "mysql://x"),
    ("DATABASE_URL", "sqlite:///"),
    ("DATABASE_URL", "sqlite:///:memory:"),
    ("DATABASE_URL", "sqlite:///file:shop?mode=memory"),
    ("DATABASE_URL", "sqlite:///var/shop.sqlite?mode=ro"),
    ("SWEEP", "1e-9"),
    ("PAYMENT_TIMEOUT", "1e-9"),
    ("REDIS_URL", "redis://127.0.0.1"),
    ("SECRET_KEY", "short"),
    ("SECRET_KEY", "0" * 32),
    ("SECRET_KEY", "changeme" * 4),
    ("PREVIOUS_SECRET_KEYS", "short"),
    ("PREVIOUS_SECRET_KEYS", f"{KEY},"),
    ("KEEPALIVE", "0"),
    ("PORT", "0"),
    ("PORT", "http"),
    ("PUBLIC_URL", "ice.example"),
    ("PUBLIC_URL", "http://[x"),
    ("PUBLIC_URL", "https://h:abc"),
    ("DATABASE_URL", "postgresql://u@h:abc/x"),
    ("DATABASE_URL", "postgresql://u@a:1,b:abc/x"),
    ("DATABASE_URL", "postgresql://u@a:1,/x"),
    ("DATABASE_CONNECTIONS", "1"),
    ("PUBLIC_URL", "https://ice.example/?shop=1"),
    ("PUBLIC_URL", "https://ice.example/#top"),
    ("PUBLIC_URL", "https://me:secret@ice.example"),
    *[("CORS_ORIGINS", origin) for origin in BAD_ORIGINS],
    ("CORS_ORIGINS", "https://a.example, https://b.example/"),
    ("TRUSTED_PROXIES", "proxy.example"),
    ("TRUSTED_PROXIES", "10.0.0.300"),
    ("TRUSTED_PROXIES", "10.0.0.7, 10.0.0.1/8"),
    ("PAYMENT_PROVIDER", "cash"),
    ("STRIPE_API_BASE", "stripe.example"),
    ("STRIPE_API_BASE", "ftp://stripe.example"),
    ("STRIPE_API_BASE", "https://h:abc"),
    ("PAYMENT_DELAY", "2-1"),
    ("PAYMENT_DELAY", "soon"),
    ("PAYMENT_FAILURE_RATE", "1.1"),
    ("PAYMENT_TIMEOUT", "0"),
    ("LEASE", "5"),
    ("SWEEP", "-1"),
    ("SWEEP", "null"),
    ("FLAVORS_ADDED_BY", "Null"),
    ("CURRENCY", "euro"),
    ("CURRENCY", "eur"),
    ("CURRENCY", "EUX"),
    ("CURRENCY", "XAU"),
    ("LOCALE", "xx"),
    ("LOCALE", "de-CH"),
    ("LOCALE", "root"),
    ("LOCALE", "../en"),
    ("TIME_ZONE", "Europe/Atlantis"),
    ("TIME_ZONE", "localtime"),
    ("TIME_ZONE", "../UTC"),
    ("TIME_ZONE", "+02:00"),
    ("DEFAULT_PRICE", "2.5"),
    ("FLAVORS_ADDED_BY", "nobody"),
    ("RATE_LIMIT", "many"),
    ("RATE_LIMIT", "0/minute"),
    ("RATE_LIMIT", "5/minute;9/hour"),
    ("ADMIN_PASSWORD", "short"),
    ("REDIS_PREFIX", "a b"),
    ("HOST", "\udcff"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_an_invalid_value_is_reported_in_one_line_with_its_name(name: str, value: str) -> None:
    with pytest.raises(settings.BadSetting) as error:
        settings.parse_settings({f"ICECREAM_{name}": value})
    assert str(error.value).startswith(f"ICECREAM_{name}: ")
    assert "\n" not in str(error.value)


def test_an_unknown_setting_is_reported_with_the_most_similar_name() -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_DATABASE_URL"):
        settings.parse_settings({"ICECREAM_DATABSE_URL": "sqlite:///x"})


def test_postgresql_needs_a_secret_key() -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_SECRET_KEY"):
        settings.parse_settings({"ICECREAM_DATABASE_URL": "postgresql://db/icecream"})


def test_with_sqlite_a_key_is_created_once_and_readable_only_by_its_owner(tmp_path: Path) -> None:
    url = {"ICECREAM_DATABASE_URL": f"sqlite:///{tmp_path}/shop.sqlite"}
    (key,) = signing_keys.load_keys(settings.parse_settings(url))
    signing_keys._load_or_create_secret.cache_clear()
    assert signing_keys.load_keys(settings.parse_settings(url)) == (key,)
    assert len(key.encode()) >= 32
    (kept,) = tmp_path.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("kept", ["", "x", "x" * 40])
def test_an_invalid_key_file_is_reported_in_one_line(tmp_path: Path, kept: str) -> None:
    (tmp_path / "shop.secret").write_text(kept)
    read = settings.parse_settings({"ICECREAM_DATABASE_URL": f"sqlite:///{tmp_path}/shop.sqlite"})
    with pytest.raises(settings.BadSetting, match=r"shop\.secret holds no valid secret key"):
        signing_keys.load_keys(read)


def test_an_address_of_all_interfaces_is_not_shown() -> None:
    assert settings.parse_settings({"ICECREAM_HOST": "0.0.0.0"}).address == "http://127.0.0.1:8000"


def test_a_redis_address_needs_a_valid_port() -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_REDIS_URL"):
        settings.parse_settings(LARGE | {"ICECREAM_REDIS_URL": "redis://localhost:abc"})


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://localhost/0?protocl=3", "unexpected keyword argument 'protocl'"),
        ("redis://localhost/0?protocol=4", "protocol must be either 2 or 3"),
        ("redis://localhost/0?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
        ("redis://localhost/0?socket_timeout=0.5", "socket_timeout: longer than"),
        ("redis://localhost/0?decode_responses=yes", "decode_responses"),
        ("rediss://localhost/0?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs: there is no file"),
        ("rediss://localhost/0?ssl_cert_reqs=sometimes", "sometimes"),
    ],
)
def test_invalid_options_of_a_redis_address_are_reported_in_one_line(
    url: str, message: str
) -> None:
    with pytest.raises(settings.BadSetting, match=r"^ICECREAM_REDIS_URL") as refused:
        settings.parse_settings(LARGE | {"ICECREAM_REDIS_URL": url})
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_valid_options_of_a_redis_address_are_accepted() -> None:
    url = "rediss://ice:cream@localhost/0?protocol=3&ssl_cert_reqs=none&socket_timeout=5"
    assert settings.parse_settings(LARGE | {"ICECREAM_REDIS_URL": url}).redis_url == url


STRIPE = {"ICECREAM_PAYMENT_PROVIDER": "stripe", "ICECREAM_STRIPE_API_KEY": "sk_test_1"}


def test_a_default_price_that_stripe_would_not_charge_is_refused() -> None:
    kuwait = {"ICECREAM_CURRENCY": "KWD", "ICECREAM_DEFAULT_PRICE": "1255"}
    assert settings.parse_settings(kuwait).amount_step == 1
    with pytest.raises(settings.BadSetting, match="ICECREAM_DEFAULT_PRICE: set it to a multiple"):
        settings.parse_settings(STRIPE | kuwait)
    read = settings.parse_settings(STRIPE | kuwait | {"ICECREAM_DEFAULT_PRICE": "1250"})
    assert read.amount_step == 10


def test_the_simulated_delay_does_not_bound_a_real_provider() -> None:
    brief = {"ICECREAM_PAYMENT_TIMEOUT": "2", "ICECREAM_PAYMENT_DELAY": "0.5-2"}
    assert settings.parse_settings(STRIPE | brief).payment_timeout == 2
    with pytest.raises(
        settings.BadSetting, match="ICECREAM_PAYMENT_TIMEOUT: set it to a time longer"
    ):
        settings.parse_settings(brief)


@pytest.mark.parametrize("key", ["", "pk_test_1", "sk-test"])
def test_stripe_needs_a_secret_key(key: str) -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_STRIPE_API_KEY: set it to"):
        settings.parse_settings(STRIPE | {"ICECREAM_STRIPE_API_KEY": key})


def test_a_webhook_secret_is_one_of_stripe() -> None:
    with pytest.raises(settings.BadSetting, match="ICECREAM_STRIPE_WEBHOOK_SECRET: set it to"):
        settings.parse_settings(STRIPE | {"ICECREAM_STRIPE_WEBHOOK_SECRET": "secret"})


def test_stripe_needs_its_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "find_spec", lambda name: None)
    with pytest.raises(settings.BadSetting, match=r"pip install 'icecream-distribution\[stripe\]'"):
        settings.parse_settings(STRIPE)


def test_only_staff_add_flavors_where_real_money_moves() -> None:
    assert not settings.parse_settings({}).staff_alone_add_flavors
    assert settings.parse_settings(STRIPE).staff_alone_add_flavors
    anyone, staff = {"ICECREAM_FLAVORS_ADDED_BY": "anyone"}, {"ICECREAM_FLAVORS_ADDED_BY": "staff"}
    assert not settings.parse_settings(STRIPE | anyone).staff_alone_add_flavors
    assert settings.parse_settings(staff).staff_alone_add_flavors


def test_every_setting_is_in_the_readme_and_in_the_example() -> None:
    top = Path(__file__).parents[1]
    for document in ("README.md", ".env.example"):
        text = (top / document).read_text()
        for name in settings.Settings.__struct_fields__:
            assert f"{settings.VARIABLE_PREFIX}{name.upper()}" in text, (document, name)
