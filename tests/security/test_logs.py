"""Test that the tests find a secret in a log: `processes.Shop` and `log_secrets` look for them."""

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import log_secrets
from tests.conftest import ADMIN_PASSWORD, PASSWORD
from tests.processes import Shop

pytestmark = pytest.mark.only("sqlite")
DB = "sqlite:///icecream.sqlite"
SECRET = "a password that a command got"
LEAKS = {
    "password of a sign-in": ADMIN_PASSWORD,
    "password of a command": SECRET,
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJ0eXAiOiJhY2Nlc3MifQ",
    "key of the provider": "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
    "secret of webhooks": "whsec_8f3a",
    "payment method": "pm_1N3T00LkdIwHu7ixt44h1F8k",
    "signing key": "a key that is only used by the tests of this suite",
}


@pytest.mark.parametrize("leak", LEAKS)
def test_a_secret_in_a_log_fails_the_test(tmp_path: Path, leak: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(LEAKS[leak])), Shop(tmp_path, DB) as shop:
        shop.ready(shop.begin_altered(f"print({LEAKS[leak]!r}, flush=True)", "serve"))
        shop.sign_in("admin", ADMIN_PASSWORD)
        shop.run("user", "create", "new", "--password", SECRET)


@pytest.mark.parametrize("leak", sorted({*LEAKS.values(), PASSWORD} - {SECRET}))
def test_a_secret_in_a_record_is_found(secret_finder: log_secrets.SecretFinder, leak: str) -> None:
    log = logging.getLogger("icecream.tests")
    writes: tuple[Callable[[], None], ...] = (
        lambda: log.info(leak),
        lambda: log.info("It is %r.", {"password": leak}),
        lambda: log.info("It is there.", extra={"detail": leak}),
        lambda: log.error("It failed.", exc_info=ValueError(leak)),
    )
    for write in writes:
        write()
        assert len(secret_finder.forget()) == 1
    log.info("There is no secret here.")
    assert not secret_finder.forget()


def test_a_served_request_with_every_secret_leaves_none_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each secret is sent in the places where a client might put it by mistake."""
    # The client of this test logs whole addresses.
    caplog.set_level(logging.WARNING, logger="httpx")
    with Shop(tmp_path, DB) as shop:
        shop.serve()
        pair = shop.sign_in("admin", ADMIN_PASSWORD)
        for secret in (ADMIN_PASSWORD, pair["access"], pair["refresh"]):
            shop.http.get("/api/orders/", params={"token": secret})
            shop.http.get("/nowhere", params={secret: secret})
            if secret != ADMIN_PASSWORD:
                # In these places, which are logged, a password looks like any other word.
                for path in ("api/orders", "admin/api/tables", "assets", "problems"):
                    shop.http.get(f"/{path}/{secret}/")
                shop.http.post("/api/token/", json={"username": secret, "password": secret})
                shop.http.get("/api/flavors/", headers={"X-Request-Id": secret})
            shop.http.post("/api/token/refresh/", json={"refresh": secret})
            shop.http.get("/api/flavors/", headers={"Authorization": f"Bearer {secret}"})
            shop.http.get("/api/flavors/", headers={"Cookie": f"id={secret}"})
            shop.http.post("/admin/public/login/", json={"username": "x", "password": secret})
        assert "GET /api/orders" in shop.processes[0].output
