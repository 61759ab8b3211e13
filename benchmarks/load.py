"""Generate load with wrk: each connection sends its next request right after a response."""

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import commands

SCRIPT = """
local ids, n = {%(ids)s}, 0
local headers = {["Authorization"] = "Bearer %(token)s", ["Content-Type"] = "application/json"}
function request()
  n = n + 1
  local body = %(body)s
  return wrk.format("%(method)s", "%(path)s", headers, body)
end
function done(summary, latency, requests)
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "status": %%d, '
    .. '"timeout": %%d, "connection": %%d, "p50": %%f, "p99": %%f}\\n',
    summary.requests, summary.duration, summary.errors.status, summary.errors.timeout,
    summary.errors.connect + summary.errors.read + summary.errors.write,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""
BODY_EXPRESSION = "'{\"quantity\": 1, \"flavor\": ' .. ids[n % #ids + 1] .. '}'"
# Before the measurement, pools fill and caches warm up.
WARMUP_SECONDS = 2
# A measurement without a response, on a busy machine, is repeated once with this many times the
# length.
LONGER_FACTOR = 5
FAILURES = {
    "status": "an error status",
    "timeout": "no response in 10 s",
    "connection": "a broken connection",
}


class CallsFailed(RuntimeError):
    """Calls failed; the speed of failed calls would mean nothing."""


@dataclass(frozen=True)
class Load:
    """A result: responses per second, and the median and 99th percentile of the latency in ms.

    `all_responses` also counts those of the warm-up.
    """

    rate: float
    p50: float
    p99: float
    all_responses: int


def run(
    address: str,
    path: str,
    token: str,
    *,
    connections: int,
    seconds: float,
    flavors: Sequence[int] = (),
    warmup: bool = True,
) -> Load:
    """POST orders of these flavors in turn, or GET if there are none.

    Raises:
        CallsFailed: a call failed; the error counts the failures of each kind.
    """
    values = {
        "ids": ", ".join(map(str, flavors)),
        "token": token,
        "path": path,
        "method": "POST" if flavors else "GET",
        "body": BODY_EXPRESSION if flavors else "nil",
    }
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(SCRIPT % values)
        all_responses = 0
        durations = [seconds, LONGER_FACTOR * seconds]
        if warmup:
            durations.insert(0, min(WARMUP_SECONDS, seconds))
        for n, duration in enumerate(durations):
            command = ["wrk", "-t1", f"-c{connections}", f"-d{duration:.0f}s", "--timeout=10s"]
            result = _run_wrk([*command, f"-s{script}", address])
            if failures := _describe_failures(result):
                raise CallsFailed(f"{path}: of {result['requests']} calls, {failures}")
            all_responses += int(result["requests"])
            if result["requests"] and n >= warmup:
                break
        else:
            raise CallsFailed(f"{path}: no call got a response in {duration:g} s")
    rate = 1e6 * result["requests"] / result["microseconds"]
    return Load(rate, result["p50"], result["p99"], all_responses)


def _describe_failures(result: dict[str, float]) -> str:
    return ", ".join(f"{result[key]} got {text}" for key, text in FAILURES.items() if result[key])


def _run_wrk(command: list[str]) -> dict[str, float]:
    text = commands.run_command(*command)
    found = re.search(r"RESULT (.*)", text)
    assert found is not None, text
    result: dict[str, float] = json.loads(found[1])
    return result
