"""Test docs/webhooks.md: its commands lead from nothing to a verified webhook."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import servers
from tests.conftest import ADMIN_PASSWORD
from tests.processes import ROOT, Shop, until

pytestmark = [pytest.mark.only("sqlite"), pytest.mark.needs("curl")]
PAGE = (ROOT / "docs" / "webhooks.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_the_commands_of_the_page_lead_to_a_verified_webhook(tmp_path: Path) -> None:
    port = servers.free_port()
    networks = {"ICECREAM_WEBHOOK_PRIVATE_NETWORKS": "127.0.0.1"}
    with Shop(tmp_path / "shop", f"sqlite:///{tmp_path}/shop.sqlite", **networks) as shop:
        shop.serve()

        def localized(text: str) -> str:
            return text.replace(":8000", f":{shop.port}").replace("9000", str(port))

        sign_in, create, *rest = map(localized, blocks("sh"))
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PASSWORD": ADMIN_PASSWORD}

        def run(script: str) -> str:
            command = ["bash", "-euo", "pipefail", "-c", script]
            return subprocess.run(
                command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
            ).stdout

        run(sign_in + create)
        (receiver,) = blocks("python")
        (tmp_path / "receiver.py").write_text(localized(receiver))
        with (tmp_path / "printed").open("w") as printed:
            process = subprocess.Popen(
                [sys.executable, "receiver.py"], cwd=tmp_path, stdout=printed, stderr=printed
            )
        try:
            until(lambda: servers.accepts(port), "the receiver listens")
            run("".join([sign_in, *rest]))
            output = tmp_path / "printed"
            for line in ("webhook.test None", "order.placed 1"):
                until(lambda: f"verified {line}\n" in output.read_text(), line)  # noqa: B023
            until(lambda: re.search("order.(paid|failed) 1", output.read_text()), "the order ends")
        finally:
            process.kill()
            process.wait()
