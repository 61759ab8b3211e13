"""The same orders written by pgbench directly, without a service."""

import re
from pathlib import Path
from typing import NamedTuple

from benchmarks import commands

FOLDER = Path(__file__).parent


class Script(NamedTuple):
    """A script: file, label, orders per transaction, clients, and the goal for our service."""

    file: str
    label: str
    orders: int
    clients: int
    bound: float


# Two clients keep PostgreSQL as busy with batches as more do: they wait for the one flavor.
SCRIPTS = {
    "single": Script("whole.sql", "pgbench one by one", 1, 32, 7),
    "bare": Script("bare.sql", "pgbench one by one, stock and order alone", 1, 32, 5),
    "batch": Script("whole.sql", "pgbench in batches of 50", 50, 2, 0.45),
}


def measure_rate(address: str, name: str, flavor: int, seconds: float) -> float:
    """Return the orders of a flavor per second."""
    script = SCRIPTS[name]
    command = ["pgbench", "-n", "-Mprepared", f"-c{script.clients}", "-j2", f"-T{seconds:.0f}"]
    command += [f"-Dflavor={flavor}", f"-Dorders={script.orders}", f"-f{FOLDER / script.file}"]
    text = commands.run_command(*command, address)
    found = re.search(r"tps = ([\d.]+)", text)
    assert found is not None, text
    return script.orders * float(found[1])
