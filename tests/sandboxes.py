"""Run `icecream sandbox` as a process and read its ledger."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from tests import log_secrets, servers
from tests.processes import ROOT, Process, until

WEBHOOK_SECRET = "whsec_of_the_tests"
# In this program, the delays of `--slow` and `--late` end when a test creates the file `go-on`.
HOLDING_PROGRAM = """
import asyncio, itertools, pathlib, types
from icecream.cli import main
from icecream.sandbox import http as sandbox_http
folder, numbers = pathlib.Path({folder!r}), itertools.count()
async def hold(_):
    held = folder / f"held-{{next(numbers)}}"
    held.touch()
    while not (folder / "go-on").exists():
        await asyncio.sleep(0.01)
    held.unlink()
sandbox_http.asyncio = types.SimpleNamespace(**vars(asyncio) | {{"sleep": hold}})
main()
"""


class Execution(NamedTuple):
    """A charge or refund that was carried out; `amount` is the moved amount if it succeeded."""

    kind: str
    key: str
    amount: int
    currency: str
    reference: str
    order: str
    result: str


class Sandbox:
    """A sandbox that can be killed and restarted on its ledger.

    With `holding`, slow and late requests wait until `go_on` is called.
    """

    def __init__(self, folder: Path, *options: str, holding: bool = False) -> None:
        self.ledger, self.port = folder / "ledger.jsonl", servers.free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder, self._options = folder, options
        held = HOLDING_PROGRAM.format(folder=str(folder))
        self._program = ("-c", held) if holding else ("-m", "icecream")
        self.process = self.start()

    def start(self) -> Process:
        words = ("sandbox", "--port", str(self.port), "--ledger", str(self.ledger))
        secret = ("--webhook-secret", WEBHOOK_SECRET)
        environment = dict(os.environ) | {"PYTHONPATH": str(ROOT)}
        log = self._folder / "sandbox.log"
        self.process = Process((*words, *secret, *self._options), environment, log, self._program)
        self.process.says("Sandbox with ledger")
        return self.process

    def end(self) -> None:
        self.process.end()
        assert not log_secrets.FORMATS.findall(self.process.output)

    def holds(self) -> bool:
        """Return whether a request waits for `go_on`."""
        return any(self._folder.glob("held-*"))

    def go_on(self) -> None:
        """Wait until a slow or late request is held, release it and wait until it continues."""
        until(self.holds, "a slow or late request is held")
        signal_file = self._folder / "go-on"
        signal_file.touch()
        until(lambda: not self.holds(), "the held request continues")
        signal_file.unlink()

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of the complete lines of the ledger."""
        lines = self.ledger.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def requests(self, key: str | None = None) -> list[dict[str, Any]]:
        """Return the recorded requests, each with the fault that was applied to it."""
        requests = [entry for entry in self.entries() if entry["entry"] == "request"]
        return [request for request in requests if key in (None, request["key"])]

    def executions(self, key: str | None = None) -> list[Execution]:
        """Return the executions with their current status."""
        done: dict[str, Execution] = {}
        for entry in self.entries():
            if entry["entry"] == "execution":
                done[entry["thing"]["id"]] = _execution(entry)
            elif entry["entry"] == "change":
                reference = entry["reference"]
                done[reference] = done[reference]._replace(result=entry["status"])
        return [one for one in done.values() if key in (None, one.key)]


def _execution(entry: dict[str, Any]) -> Execution:
    thing = entry["thing"]
    return Execution(
        kind="charge" if thing["object"] == "payment_intent" else "refund",
        key=thing["metadata"].get("reference", ""),
        amount=thing.get("amount_received") or thing["amount"],
        currency=thing["currency"].upper(),
        reference=thing["id"],
        order=thing["metadata"].get("order", ""),
        result=thing["status"],
    )
