"""The API document: its operations with their bodies, responses and refusals."""

from icecream.http.openapi.document import config
from icecream.http.openapi.operations import (
    ANY,
    BODY,
    CALL,
    KEY,
    ApiOperation,
    Figures,
    IdempotencyKey,
    Problem,
    Sheet,
    Tagged,
    answers,
    emptied,
    or_unchanged,
    streamed,
)

__all__ = [
    "ANY",
    "BODY",
    "CALL",
    "KEY",
    "ApiOperation",
    "Figures",
    "IdempotencyKey",
    "Problem",
    "Sheet",
    "Tagged",
    "answers",
    "config",
    "emptied",
    "or_unchanged",
    "streamed",
]
