"""The API document: its operations with their bodies, responses and refusals."""

from icecream.http.openapi.clients import for_generators
from icecream.http.openapi.components import expand
from icecream.http.openapi.document import openapi_config
from icecream.http.openapi.operations import (
    BODY_REFUSALS,
    IDEMPOTENCY_KEY_REFUSALS,
    ApiOperation,
    IdempotencyKeyHeader,
    OperationWithAsOf,
    OperationWithCsv,
    OperationWithETag,
    Problem,
    operation,
    success,
)

__all__ = [
    "BODY_REFUSALS",
    "IDEMPOTENCY_KEY_REFUSALS",
    "ApiOperation",
    "IdempotencyKeyHeader",
    "OperationWithAsOf",
    "OperationWithCsv",
    "OperationWithETag",
    "Problem",
    "expand",
    "for_generators",
    "openapi_config",
    "operation",
    "success",
]
