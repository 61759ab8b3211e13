"""Test the logs: the format of lines, hidden secrets, and few lines for an outage."""

import ast
import logging
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from icecream.runtime import logs
from icecream.runtime.logs import lines
from tests.conftest import records_of
from tests.processes import ROOT

# This code does not depend on the database.
pytestmark = pytest.mark.only("sqlite")

log = logging.getLogger("tests.logs")
SWALLOWING = re.compile("CancelledError|BaseException")
# A handler may begin with this check. A cancellation of an awaited task is no cancellation of the
# task itself.
OF_THE_TASK_ITSELF = "if is_being_canceled():\n    raise"
SECRET = "a secret of the settings"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Replace the monotonic clock by a time that the test sets."""
    now = [1000.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    yield now


def written(log_format: str, text: str, *arguments: object, **extra: object) -> str:
    record = log.makeRecord(log.name, logging.WARNING, "", 1, text, arguments, None, extra=extra)
    return lines.Formatter(log_format, [SECRET]).format(record)


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "sk_test_51Habc",
        "rk_live_51Habc",
        "whsec_abc123",
        "pm_card_visa",
        "pm_1N3T4y2eZvKYlo2C",
        "card_1N3T4y2eZvKYlo2C",
        "pi_3N_secret_x",
        "postgresql://icecream:vanilla@db/icecream",
        "Authorization: Bearer abcdefghijkl",
        "password=vanilla&x=1",
        SECRET,
    ],
)
@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_a_secret_is_never_written(log_format: str, secret: str) -> None:
    line = written(log_format, "It says %r.", secret)
    assert logs.REDACTED in line
    assert secret not in line
    assert "vanilla" not in line
    assert "abcdefghijkl" not in line


@pytest.mark.parametrize("text", ["card_declined", "pi_3N4y", "re_3N4y", "redis://h:6379/0", "eyJ"])
def test_ids_that_operators_need_are_not_redacted(text: str) -> None:
    assert text in written("pretty", text)


@pytest.mark.parametrize("log_format", ["pretty", "json"])
def test_a_text_with_control_characters_is_one_line_without_them(log_format: str) -> None:
    text = "name\n2026-01-01 INFO forged\r\x1b[2J\x9b\x00\u2028 end"
    line = written(log_format, "Failed: %s", text, address=text)
    if log_format == "json":
        assert msgspec.json.decode(line)["event"] == f"Failed: {text}"
        assert not re.search(r"[\x00-\x1f]", line)
    else:
        assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028]", line)
        assert r"name\n2026-01-01 INFO forged\r\x1b[2J\x9b\x00\u2028 end" in line


def test_a_line_names_its_request_its_order_and_its_payment() -> None:
    name = logs.request_id.set("abc")
    about = logs._context_ids.set(None)
    try:
        logs.add_to_context(order=7)
        logs.add_to_context(payment=9)
        line = written("json", "It is %s.", "so", n=3)
        text = written("pretty", "two\nlines")
    finally:
        logs.request_id.reset(name)
        logs._context_ids.reset(about)
    fields: dict[str, Any] = msgspec.json.decode(line)
    assert fields.pop("timestamp").startswith("20")
    ids = {"request_id": "abc", "order": 7, "payment": 9}
    about_it = {"level": "warning", "logger": "tests.logs", "event": "It is so.", "n": 3}
    assert fields == about_it | ids
    assert text.endswith(r"WARNING [abc] tests.logs: two\nlines order=7 payment=9")


def test_an_outage_is_logged_at_its_start_once_a_minute_and_at_its_end(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    outage = logs.Outage(log, "The database")
    outage.record_success()
    for _ in range(200):
        outage.record_failure(TimeoutError())
    clock[0] += 61
    for _ in range(200):
        outage.record_failure("full")
        # A success between failures does not end the outage, for example a read of a database that
        # takes no writes.
        outage.record_success()
    assert outage.is_active
    clock[0] += 5
    outage.record_success()
    outage.record_success()
    assert not outage.is_active
    assert [one.getMessage() for one in records_of(caplog, log)] == [
        "The database is unavailable (TimeoutError()).",
        "The database has been unavailable for 61 s (full), 201 failures.",
        "The database is available again after 66 s, 400 failures.",
    ]


def test_a_repeated_outage_is_logged_in_few_lines(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    outage = logs.Outage(log, "The database")
    for _ in range(30):
        outage.record_failure("read-only")
        clock[0] += 5
        outage.record_success()
    messages = [one.getMessage() for one in records_of(caplog, log)]
    assert [message.partition(" (")[0] for message in messages] == [
        "The database is unavailable",
        "The database is available again after 5 s, 1 failures.",
    ] * 3


def test_a_bug_is_logged_once_a_minute_with_its_traceback(
    clock: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    for every in (False, True, False):
        for n in range(3):
            try:
                raise ValueError(n)
            except ValueError as error:
                logs.log_bug(log, f"It failed {every}", error, log_repetitions=every)
        clock[0] += 61
    assert [one.getMessage() for one in records_of(caplog, log)] == [
        "It failed False: ValueError(0)",
        "It failed True: ValueError(0) (2 repetitions were not logged)",
        "It failed True: ValueError(1)",
        "It failed True: ValueError(2)",
        "It failed False: ValueError(0)",
    ]
    assert caplog.text.count("Traceback") == 3


def test_no_code_swallows_cancellation() -> None:
    """A canceled task must end. Otherwise a timeout around it has no effect, and a stop hangs."""
    swallowed = [
        f"{path}:{handler.lineno}"
        for folder in ("icecream", "tasks")
        for path in (ROOT / folder).rglob("*.py")
        for handler in ast.walk(ast.parse(path.read_text()))
        if isinstance(handler, ast.ExceptHandler)
        and (handler.type is None or SWALLOWING.search(ast.unparse(handler.type)))
        and not isinstance(handler.body[-1], ast.Raise)
        and ast.unparse(handler.body[0]) != OF_THE_TASK_ITSELF
    ]
    assert swallowed == []
