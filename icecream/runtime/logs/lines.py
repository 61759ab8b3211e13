"""Conversion of log records to lines of text or JSON, without secrets."""

import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from icecream.runtime import logs, optional_imports

# structlog colors tracebacks for terminals with rich. Our log is never colored.
with optional_imports.hidden("rich"):
    import structlog
    from structlog.typing import EventDict, ProcessorReturnValue

# Characters that begin a line, or that a terminal carries out, and what is written for them.
_CONTROL_CHARACTERS = (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029)
_WRITTEN = {n: repr(chr(n))[1:-1] for n in _CONTROL_CHARACTERS}


class Formatter(structlog.stdlib.ProcessorFormatter):
    """Formats all records, ours and those of libraries, in the chosen format.

    Args:
        log_format: `pretty` or `json`.
        secrets: texts that are hidden everywhere.
    """

    def __init__(self, log_format: str, secrets: Iterable[str] = ()) -> None:
        # The longest first, because one secret may be a part of another.
        self._secrets = sorted(secrets, key=len, reverse=True)
        super().__init__(
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.add_logger_name,
                structlog.stdlib.ExtraAdder(),
                _add_context,
                structlog.processors.format_exc_info,
            ],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _as_json if log_format == "json" else _as_text,
            ],
        )

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, logs.REDACTED)
        return logs.redact(text)


def _add_context(_: Any, __: str, event: EventDict) -> EventDict:
    # uvicorn adds the same message again, for a terminal.
    event.pop("color_message", None)
    event["timestamp"] = logs.timestamp()
    event.update(logs.current_context())
    return event


def _as_json(_: Any, __: str, event: EventDict) -> ProcessorReturnValue:
    order = ("timestamp", "level", "logger", "event")
    fields = {name: event.pop(name) for name in order} | dict(event)
    return msgspec.json.encode(fields, enc_hook=repr).decode()


def _as_text(_: Any, __: str, event: EventDict) -> ProcessorReturnValue:
    time, level, name = (event.pop(key) for key in ("timestamp", "level", "logger"))
    request, text = event.pop("request_id", logs.NO_REQUEST), str(event.pop("event"))
    trace = event.pop("exception", None)
    rest = "".join(f" {key}={value}" for key, value in event.items())
    # A text must not be able to forge a log line, or to change what a terminal shows.
    line = f"{time} {level.upper()} [{request}] {name}: {text}{rest}".translate(_WRITTEN)
    return f"{line}\n{trace}" if trace else line


def logging_config(log_format: str, secrets: Iterable[str], level: str = "INFO") -> dict[str, Any]:
    """Return the argument for `logging.config.dictConfig`; lines below `level` are left out."""
    line = {"()": Formatter, "log_format": log_format, "secrets": list(secrets)}
    handler = "logging.StreamHandler"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": line, "lines": {"format": "%(message)s"}},
        "handlers": {
            "console": {"class": handler, "formatter": "line"},
            "access": {"class": handler, "formatter": "lines"},
        },
        "root": {"level": level, "handlers": ["console"]},
        "loggers": {
            # Its lines are formatted already, many per record.
            "icecream.access": {"handlers": ["access"], "propagate": False},
            "taskiq": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING"},
            # During a database outage it writes a traceback per second; we log the outage.
            "asyncpg.pool": {"level": "ERROR"},
        },
    }
