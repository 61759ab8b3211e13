"""Measure the pages with Lighthouse, and write the scores to docs/lighthouse.md: make lighthouse

They are pages of a temporary service with the season of `icecream demo`. With PAGES="/shop/" only
these are measured, and nothing is written.
"""

import json
import secrets
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from tests import servers
from tests.processes import ROOT, Shop

GOAL = 95
SHOP = "Gelato Corner"
OPEN_PAGES = ("/", "/sign-in/")
SHOP_PAGES = ("/shop/", "/shop/orders/", "/shop/account/")
HEAD = """# Scores of the pages

Lighthouse {version} on pages with the season of `icecream demo` (5,000 orders): performance,
accessibility, best practices and SEO, each of 100. `make lighthouse` measures them again and fails
below {goal}. It needs chromium and npm. A page below {goal} is measured up to three times, and the
best run counts, because a busy machine makes pages slower.

| page | desktop | phone |
|---|---|---|
"""


def staff_pages(order: int) -> list[str]:
    """Return the addresses of the pages for staff."""
    tomorrow = datetime.now(UTC).date() + timedelta(1)
    return [
        "/dashboard/",
        *("/staff/orders/", f"/staff/orders/{order}/"),
        *("/staff/flavors/", "/staff/flavors/1/", "/staff/flavors/new/"),
        *("/staff/customers/", "/staff/customers/2/", "/staff/customers/new/"),
        f"/staff/packing/?date={tomorrow}",
    ]


def open_session(url: str, name: str, password: str) -> str:
    """Sign in to the pages, and return the cookie of the session."""
    answer = httpx.post(f"{url}/sign-in/", data={"username": name, "password": password})
    session: str = answer.cookies["id"]
    return session


def measure(pages: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """Measure pages, each with the cookie of a session, and print their scores."""
    from tests.conftest import tool

    script = ROOT / ".ci/lighthouse/measure.mjs"
    port = str(servers.free_port())
    words = ["node", str(script), tool("chromium"), port, json.dumps(pages)]
    found = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            one = json.loads(line)
            found.append(one)
            scores = " ".join(map(str, one["scores"]))
            sys.stdout.write(f"{one['path']} {one['device']}: {scores} {one['failures'] or ''}\n")
            sys.stdout.flush()
    if process.returncode:
        sys.exit("Lighthouse failed.")
    return found


def write_table(found: list[dict[str, Any]]) -> None:
    """Write the scores of each page as one row."""
    rows: dict[str, list[str]] = {}
    for one in found:
        rows.setdefault(one["path"], []).append(", ".join(map(str, one["scores"])))
    text = HEAD.format(version=found[0]["version"], goal=GOAL) + "".join(
        f"| `{path}` | {' | '.join(scores)} |\n" for path, scores in rows.items()
    )
    (ROOT / "docs/lighthouse.md").write_text(text)


def main() -> None:
    """Create the season of a demo, serve it, and measure its pages."""
    from tests.conftest import ADMIN_PASSWORD

    with (
        tempfile.TemporaryDirectory() as folder,
        Shop(Path(folder), "sqlite:///icecream.sqlite") as shop,
    ):
        shop.run("migrate").check_returncode()
        shop.run("demo", "--orders", "5000", "--days", "90").check_returncode()
        password = secrets.token_urlsafe()
        shop.run("user", "create", SHOP, "--password", password).check_returncode()
        shop.serve()
        url = f"http://127.0.0.1:{shop.port}"
        staff = open_session(url, "admin", ADMIN_PASSWORD)
        customer = open_session(url, SHOP, password)
        pages = [
            *((path, "") for path in OPEN_PAGES),
            *((path, staff) for path in staff_pages(4990)),
            *((path, customer) for path in SHOP_PAGES),
        ]
        chosen = sys.argv[1:]
        found = measure(
            [(url + path, session) for path, session in pages if not chosen or path in chosen]
        )
    if not chosen:
        write_table(found)
    if low := [one["path"] for one in found if min(one["scores"]) < GOAL]:
        sys.exit(f"Below {GOAL}: {', '.join(low)}")


if __name__ == "__main__":
    main()
