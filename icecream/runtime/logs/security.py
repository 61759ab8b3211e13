"""Security events in the log: sign-ins, refusals, changes of accounts.

Each has a fixed name and structured details. An unknown account's name is never logged: it may be a
password that was typed into the wrong field.
"""

import logging

log = logging.getLogger("icecream.security")


def log_event(event: str, **details: object) -> None:
    """Log an event, with the details that are known and the context of the request."""
    log.info(event, extra={name: value for name, value in details.items() if value is not None})
