"""Test the commands that print facts, in one installation with some orders."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import ADMIN_PASSWORD, WHICH
from tests.processes import Shop, until

SECRET_KEY = "a secret key that only this test uses, and nothing else"


@pytest.fixture(scope="module")
def shop(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("facts")
    with Shop(folder / "shop", database_url) as one:
        run(one, "migrate")
        run(one, "demo", "--orders", "40", "--days", "3")
        one.serve()
        until(lambda: len(read_events(one)) >= 40, "the server has published the orders")
        yield one


def run(shop: Shop, *words: str) -> str:
    answer = shop.run(*words)
    assert answer.returncode == 0, answer.stdout
    return answer.stdout


def read_events(shop: Shop) -> list[str]:
    return run(shop, "events", "--after", "0", "--json").splitlines()


def run_json(shop: Shop, *words: str) -> Any:
    return json.loads(run(shop, *words, "--json"))


def test_orders_are_listed_newest_first(shop: Shop) -> None:
    found = run_json(shop, "orders", "--limit", "30")
    assert len(found) == 30
    ids = [one["id"] for one in found]
    assert ids == sorted(ids, reverse=True)
    paid = run_json(shop, "orders", "--status", "paid", "--user", found[0]["username"])
    assert {one["status"] for one in paid} <= {"paid"}
    assert {one["username"] for one in paid} <= {found[0]["username"]}
    header, first, *_ = run(shop, "orders", "--limit", "3").splitlines()
    assert header.split()[:4] == ["ID", "CREATED_AT", "USERNAME", "STATUS"]
    assert first.split()[0] == str(found[0]["id"])
    assert " EUR " in first


def test_payments_flavors_and_customers_are_listed(shop: Shop) -> None:
    payments = run_json(shop, "payments", "--state", "succeeded")
    assert {one["state"] for one in payments} == {"succeeded"}
    flavors = run_json(shop, "flavors")
    assert "Vanilla" in [one["name"] for one in flavors]
    assert {one["archived"] for one in flavors} == {False}
    customers = run_json(shop, "customers", "--limit", "1000")
    assert sum(one["orders"] for one in customers) == 40
    assert "admin" not in [one["username"] for one in customers]
    assert run(shop, "customers").startswith("ID")


def test_a_key_is_created_listed_and_revoked(shop: Shop) -> None:
    run(shop, "user", "create", "corner-shop", "--password", "correct horse")
    words = ("keys", "create", "corner-shop", "Web shop", "--scope", "order", "--days", "30")
    created = run_json(shop, *words)
    assert created["key"].startswith(created["prefix"])
    token = {"Authorization": f"Bearer {created['key']}"}
    assert shop.http.get("/api/me/", headers=token).json()["username"] == "corner-shop"
    (listed,) = run_json(shop, "keys", "list", "corner-shop")
    assert (listed["id"], listed["user"]) == (created["id"], "corner-shop")
    assert listed["scopes"] == ["order"]
    assert "key" not in listed
    assert run(shop, "keys", "revoke", str(created["id"])) == f"Revoked key {created['id']}.\n"
    until(lambda: shop.http.get("/api/me/", headers=token).status_code == 401, "the key ends")
    again = shop.run("keys", "revoke", str(created["id"]))
    assert (again.returncode, again.stdout.count("\n")) == (1, 1)
    assert run(shop, "keys", "list").splitlines()[1:] == []
    refused = shop.run("keys", "create", "corner-shop", "x", "--scope", "staff")
    assert refused.stdout == "icecream: scopes must contain read or order.\n"


def test_events_continue_after_a_position(shop: Shop) -> None:
    lines = read_events(shop)
    positions = [json.loads(line)["position"] for line in lines]
    assert positions == list(range(1, len(positions) + 1))
    rest = run(shop, "events", "--after", str(positions[-3]), "--json").splitlines()
    # Payments may have ended since.
    assert rest[:2] == lines[-2:]
    header, *latest = run(shop, "events").splitlines()
    assert header.split()[:2] == ["POSITION", "AT"]
    assert len(latest) == 10


def test_events_are_followed_until_the_end(shop: Shop) -> None:
    end = len(read_events(shop))
    following = shop.begin("events", "--follow", "--json", "--after", str(end))
    run(shop, "demo", "--orders", "1", "--days", "1", "--seed", "1", "--yes")
    until(lambda: f'"position":{end + 1},' in following.output, "the next event is printed")
    following.signal(signal.SIGINT)
    assert following.wait() == 1
    assert following.output.startswith(f'{{"position":{end + 1},')


def test_the_settings_in_effect_are_shown_without_secrets(shop: Shop) -> None:
    (shop.folder / ".env").write_text("ICECREAM_LOCALE=en\nICECREAM_STRIPE_API_KEY=sk_test_1234\n")
    rows = {one["setting"]: one for one in run_json(shop, "config")}
    (shop.folder / ".env").unlink()
    assert rows["ICECREAM_SECRET_KEY"]["value"] == "[hidden]"
    assert rows["ICECREAM_STRIPE_API_KEY"]["value"] == "[hidden]"
    assert rows["ICECREAM_LOCALE"]["source"] == ".env"
    assert rows["ICECREAM_PORT"] == {
        "setting": "ICECREAM_PORT",
        "value": shop.port,
        "source": "environment",
    }
    assert rows["ICECREAM_KEEPALIVE"]["source"] == "default"
    shown = run(shop, "config")
    assert ADMIN_PASSWORD not in shown
    assert shown.startswith("SETTING ")


def test_the_database_is_checked(shop: Shop) -> None:
    facts = run_json(shop, "db", "check")
    assert facts["version"].startswith("SQLite" if WHICH == "sqlite" else "PostgreSQL")
    assert facts["writable"] is True
    assert facts["migrations"] > 20
    assert "database" in run(shop, "db", "check")


def test_the_doctor_and_the_comparison_print_json(shop: Shop) -> None:
    report = run_json(shop, "doctor")
    assert report["broken"] == []
    assert report["rules"] > 20
    assert run(shop, "reconcile", "--json") == ""
