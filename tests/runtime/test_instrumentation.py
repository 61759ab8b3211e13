"""Test the counters of metrics: the number of series, and several processes in one folder."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

from icecream.runtime import instrumentation
from tests.processes import TOP

ORDER = (
    "from icecream.runtime import instrumentation; "
    "instrumentation.ordered('placed'); print('counted', flush=True)"
)
TELL = """
from icecream.runtime import instrumentation
print([one.value for metric in instrumentation.collect() for one in metric.samples
       if one.name == "icecream_orders_total" and one.labels["outcome"] == "placed"])
"""


def ordering(folder: Path) -> subprocess.Popen[str]:
    """Start a process that counts one order and keeps running."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{ORDER}; input()"],
        cwd=TOP,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def told(folder: Path) -> str:
    command, here = [sys.executable, "-c", TELL], {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run(command, cwd=TOP, env=here, capture_output=True, text=True).stdout


def test_any_process_tells_for_all_and_a_successor_goes_on_where_a_killed_one_was(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "made by the first"
    first, second = ordering(folder), ordering(folder)
    assert told(folder) == "[2.0]\n"
    for orders in (3, 4, 5):
        killed(first)
        first = ordering(folder)
        assert told(folder) == f"[{orders}.0]\n"
    killed(first)
    killed(second)
    assert told(folder) == "[5.0]\n"
    # Files of at most the two counting processes and one process that reported next to them.
    assert Counter(file.suffix for file in folder.iterdir())[".db"] <= 2 * 3


def test_no_method_that_a_client_makes_up_becomes_a_series() -> None:
    for n in range(100):
        instrumentation.answered(f"BREW{n}", "/coffee", 418, 0.1)
    methods = {
        sample.labels["method"]: sample.value
        for metric in instrumentation.collect()
        for sample in metric.samples
        if sample.labels.get("route") == "/coffee" and sample.name.endswith("_count")
    }
    assert methods == {"other": 100}


def test_what_alerts_wait_for_begins_at_zero() -> None:
    there = {str(one.labels) for metric in instrumentation.collect() for one in metric.samples}
    assert {"{'outcome': 'unavailable'}", "{'kind': 'refund', 'result': 'parked'}"} <= there
