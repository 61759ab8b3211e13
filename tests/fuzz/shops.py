"""One shop on SQLite and one on PostgreSQL, which get the same requests."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests import servers
from tests.conftest import ADMIN_PASSWORD
from tests.processes import Shop, until

# Both databases count on their own, and a refused insert leaves a gap in PostgreSQL's numbers.
OWN_MEMBERS = {"id", "order_id", "order", "flavor", "user", "payment", "payments", "by"}
OWN_MEMBERS |= {"request_id", "instance", "created_at", "at", "position", "first_sent_at"}
# The provider's own words, and how often it was asked.
OWN_MEMBERS |= {"provider_key", "provider_ref", "tries"}
IN_PROGRESS = {"new", "sent", "unknown"}


class Pair:
    """The two shops; `send` compares their answers, without ids and times."""

    def __init__(self, shops: tuple[Shop, Shop]) -> None:
        self.shops = shops

    def send(
        self, method: str, path: str, ids: tuple[int, int] = (0, 0), **call: Any
    ) -> tuple[httpx.Response, httpx.Response]:
        """Send a request to both; `{}` in the path, and 0 as a flavor in the body, is the id."""
        one, other = (
            shop.http.request(method, path.format(number), **_with_flavor(call, number))
            for shop, number in zip(self.shops, ids, strict=True)
        )
        assert one.status_code < 500, one.text
        assert one.status_code == other.status_code, (method, path, call, one.text, other.text)
        left, right = comparable(one), comparable(other)
        assert left == right, (method, path, call, _first_difference(left, right))
        return one, other

    def settle(self) -> None:
        """Wait until no payment is in progress in any of the shops."""
        for shop in self.shops:
            until(lambda: not IN_PROGRESS & _states(shop), "payments end")  # noqa: B023

    def compare(self) -> None:
        """Compare everything that can be read."""
        for path in ("orders", "flavors", "stats", "stats/?interval=day", "payments"):
            self.send("GET", f"/api/{path}")


def _first_difference(one: Any, other: Any) -> Any:
    """Return the first members that differ, because whole lists would be too long to read."""
    if isinstance(one, tuple | list) and isinstance(other, tuple | list) and len(one) == len(other):
        return next(
            _first_difference(*pair) for pair in zip(one, other, strict=True) if pair[0] != pair[1]
        )
    if isinstance(one, dict) and isinstance(other, dict):
        names = [name for name in one.keys() | other.keys() if one.get(name) != other.get(name)]
        return {name: (one.get(name), other.get(name)) for name in names}
    return one, other


def _states(shop: Shop) -> set[str]:
    return {payment["state"] for payment in shop.http.get("/api/payments/").json()}


def _with_flavor(call: dict[str, Any], number: int) -> dict[str, Any]:
    body = call.get("json")
    if body and body.get("flavor") == 0:
        return call | {"json": body | {"flavor": number}}
    return call


def comparable(answer: httpx.Response) -> Any:
    """Return the body without what the databases number themselves, and without times."""
    replayed = "idempotent-replayed" in answer.headers
    return replayed, _without_own(answer.json()) if answer.content else None


def _without_own(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_own(one) for one in value]
    if isinstance(value, dict):
        return {name: _without_own(one) for name, one in value.items() if name not in OWN_MEMBERS}
    return re.sub(r"\d+", "0", value) if isinstance(value, str) else value


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Pair]:
    """Start both shops, each with a worker; the caller is their admin."""
    settings = {"ICECREAM_RATE_LIMIT": "1000000/minute"} | settings
    with (
        servers.postgres(folder / "server") as url,
        Shop(folder / "sqlite", f"sqlite:///{folder}/shop.sqlite", **settings) as one,
        Shop(folder / "postgres", url, **settings) as other,
    ):
        for shop in (one, other):
            assert shop.run("migrate").returncode == 0
            shop.serve()
            shop.sign_in("admin", ADMIN_PASSWORD)
        other.worker()
        yield Pair((one, other))


def until_tomorrow_is_far() -> None:
    """Wait at midnight: figures by day would differ if a day ends between two requests."""
    seconds = 86_400 - time.time() % 86_400
    if seconds < 120:
        time.sleep(seconds)
