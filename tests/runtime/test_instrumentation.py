"""Test the counters of metrics: the number of series, and several processes in one folder."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from icecream.runtime import instrumentation
from tests.processes import ROOT

ORDER = """
from icecream.runtime import instrumentation
instrumentation.count_orders('placed')
print('counted', flush=True)
"""
READ = """
from icecream.runtime import instrumentation
print([one.value for metric in instrumentation.collect_metrics() for one in metric.samples
       if one.name == "icecream_orders_total" and one.labels["outcome"] == "placed"])
"""


def start_counting(folder: Path) -> subprocess.Popen[str]:
    """Start a process that counts one order and keeps running."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"{ORDER}input()"],
        cwd=ROOT,
        env={"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "counted\n"
    return process


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def read_placed_orders(folder: Path) -> str:
    command, here = [sys.executable, "-c", READ], {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    return subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_any_process_reports_all_counts_and_a_successor_continues_those_of_a_killed_process(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "made by the first"
    first, second = start_counting(folder), start_counting(folder)
    assert read_placed_orders(folder) == "[2.0]\n"
    for orders in (3, 4, 5):
        kill(first)
        first = start_counting(folder)
        assert read_placed_orders(folder) == f"[{orders}.0]\n"
    kill(first)
    kill(second)
    assert read_placed_orders(folder) == "[5.0]\n"
    # Files of at most the two counting processes and one process that reported next to them.
    assert Counter(file.suffix for file in folder.iterdir())[".db"] <= 2 * 3


def test_an_unknown_method_creates_no_series() -> None:
    for n in range(100):
        instrumentation.count_request(f"BREW{n}", "/coffee", 418, 0.1)
    methods = {
        sample.labels["method"]: sample.value
        for metric in instrumentation.collect_metrics()
        for sample in metric.samples
        if sample.labels.get("route") == "/coffee" and sample.name.endswith("_count")
    }
    assert methods == {"other": 100}


def test_counters_of_alerts_start_at_zero() -> None:
    there = {
        str(one.labels) for metric in instrumentation.collect_metrics() for one in metric.samples
    }
    assert {"{'outcome': 'unavailable'}", "{'kind': 'refund', 'result': 'parked'}"} <= there
