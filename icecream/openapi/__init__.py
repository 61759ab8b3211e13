"""What the API's document says of every operation: its bodies, its answers, its refusals."""

from icecream.openapi.document import config
from icecream.openapi.operations import (
    BODY,
    CALL,
    KEY,
    ApiOperation,
    Currency,
    IdempotencyKey,
    Moment,
    Name,
    Path,
    Problem,
    Tagged,
    Text,
    Word,
    answers,
    emptied,
    or_unchanged,
)

__all__ = [
    "BODY",
    "CALL",
    "KEY",
    "ApiOperation",
    "Currency",
    "IdempotencyKey",
    "Moment",
    "Name",
    "Path",
    "Problem",
    "Tagged",
    "Text",
    "Word",
    "answers",
    "config",
    "emptied",
    "or_unchanged",
]
