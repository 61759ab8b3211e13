"""Test the security events in the log of a real server."""

import json
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop

LOGIN = "/admin/public/login/"
PASSWORD = "a password of one customer"
TYPED = "this-is-my-password"


def events_of(shop: Shop) -> list[dict[str, Any]]:
    """Return the security events in the log, without the members that all lines have."""
    lines = [json.loads(line) for line in shop.processes[0].output.splitlines() if line[:1] == "{"]
    common = ("timestamp", "level", "logger", "request_id")
    return [
        {name: value for name, value in line.items() if name not in common}
        for line in lines
        if line["logger"] == "icecream.security"
    ]


def test_security_events_are_logged_with_account_and_address(
    tmp_path: Path, empty_database: str
) -> None:
    with Shop(tmp_path / "shop", empty_database, ICECREAM_LOG_FORMAT="json") as shop:
        assert shop.run("migrate").returncode == 0
        assert shop.run("user", "create", "Ada", "--password", PASSWORD).returncode == 0
        shop.serve()
        here = {"address": "127.0.0.1"}

        def sign_in(name: str, password: str) -> httpx.Response:
            return shop.http.post("/api/token/", json={"username": name, "password": password})

        pair = sign_in("Ada", PASSWORD).json()
        sign_in("Ada", TYPED)
        sign_in(TYPED, PASSWORD)
        signing_in = [
            {"event": "signed-in", "account": "Ada"} | here,
            {"event": "credentials-refused", "account": "Ada", "reason": "wrong password"} | here,
            {"event": "credentials-refused", "reason": "unknown account"} | here,
        ]
        assert events_of(shop) == signing_in

        shop.http.headers["Authorization"] = f"Bearer {pair['access']}"
        user = shop.http.get("/api/me/").json()["id"]
        assert shop.http.get("/api/payments/").status_code == 403
        bad = {"Authorization": "Bearer x.y.z"}
        assert shop.http.get("/api/me/", headers=bad).status_code == 401
        body = {"current_password": PASSWORD, "new_password": "another password"}
        pair = shop.http.post("/api/me/password/", json=body).json()
        assert shop.http.post("/api/token/revoke/", json={"refresh": pair["refresh"]}).is_success
        over_api = [
            {"event": "access-refused", "code": "forbidden", "user": user} | here,
            {"event": "access-refused", "code": "invalid-token"} | here,
            {"event": "account-changed", "user": user, "by": user, "fields": "password"} | here,
            {"event": "signed-out", "user": user} | here,
        ]
        assert events_of(shop)[len(signing_in) :] == over_api

        with httpx.Client(base_url=shop.http.base_url, timeout=50) as browser:
            browser.get("/admin/api/user/")
            for name, password in (("Ada", "another password"), ("admin", ADMIN_PASSWORD)):
                browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
                browser.post(LOGIN, json={"username": name, "password": password})
            assert browser.post("/admin/public/logout/").status_code == 403
            browser.headers["X-CSRFToken"] = browser.cookies["csrftoken"]
            assert browser.post("/admin/public/logout/").status_code == 200
        in_admin = [
            {"event": "credentials-refused", "account": "Ada", "reason": "not staff"} | here,
            {"event": "signed-in", "account": "admin", "session": "admin"} | here,
            {"event": "access-refused", "code": "forbidden"} | here,
            {"event": "session-ended", "user": 1} | here,
        ]
        assert events_of(shop)[len(signing_in + over_api) :] == in_admin

        before = len(events_of(shop))
        while sign_in("Ada", TYPED).status_code != 429:
            pass
        assert sign_in("Ada", TYPED).status_code == 429
        # Once in each window.
        assert events_of(shop)[before:][-1] == {"event": "rate-limited", "policy": "login"} | here
        assert sum(event["event"] == "rate-limited" for event in events_of(shop)) == 1
        assert TYPED not in shop.processes[0].output
