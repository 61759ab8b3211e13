"""The API document: its operations with their bodies, responses and refusals."""

from icecream.http.openapi.document import openapi_config
from icecream.http.openapi.operations import (
    ANY_CALL_REFUSALS,
    AUTHENTICATED_CALL_REFUSALS,
    BODY_REFUSALS,
    IDEMPOTENCY_KEY_REFUSALS,
    ApiOperation,
    IdempotencyKeyHeader,
    OperationWithAsOf,
    OperationWithCsv,
    OperationWithETag,
    Problem,
    event_stream_responses,
    json_responses,
    no_content_responses,
    with_not_modified,
)

__all__ = [
    "ANY_CALL_REFUSALS",
    "AUTHENTICATED_CALL_REFUSALS",
    "BODY_REFUSALS",
    "IDEMPOTENCY_KEY_REFUSALS",
    "ApiOperation",
    "IdempotencyKeyHeader",
    "OperationWithAsOf",
    "OperationWithCsv",
    "OperationWithETag",
    "Problem",
    "event_stream_responses",
    "json_responses",
    "no_content_responses",
    "openapi_config",
    "with_not_modified",
]
