"""Refusals and other errors as problem documents (RFC 9457)."""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from icecream import database, errors, settings
from icecream.http import methods, middleware, query_parameters, rate_limits
from icecream.runtime import logs
from icecream.runtime.logs import security

log = logging.getLogger(__name__)
# Path parameters that are added to log lines.
LOGGED_PATH_PARAMETERS = {"order", "payment"}
# Litestar's own refusals, translated into ours.
REFUSAL_BY_STATUS: dict[int, type[errors.Refusal]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.QuotaExceeded,
}


# Refusals of access that are logged. A call without a token or with an expired one is normal, and a
# wrong password is logged with its account.
LOGGED_REFUSALS = (
    errors.Forbidden,
    errors.InsufficientScope,
    errors.InvalidToken,
    errors.InvalidRefreshToken,
    errors.InvalidSignature,
)


def _to_refusal(request: Request[Any, Any, Any], error: Exception) -> errors.Refusal:
    if isinstance(error, errors.Refusal):
        return error
    if isinstance(error, ValidationException):
        return _to_validation_failure(request, error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        kind = REFUSAL_BY_STATUS.get(error.status_code)
        refusal = kind() if kind else errors.ValidationFailed("", "invalid", error.detail)
        refusal.headers |= dict(error.headers or {})
        if allowed := refusal.headers.get("allow"):
            refusal.headers["allow"] = methods.allow_header(allowed.split(", "))
        return refusal
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        log.info("A client disconnected in the middle of a request.")
        return errors.ValidationFailed("", "malformed", "The body is incomplete.")
    if isinstance(error, database.DATABASE_UNAVAILABLE):
        logs.DATABASE_OUTAGE.record_failure(error)
        return errors.Unavailable()
    logs.log_bug(log, "Unhandled error", error, log_repetitions=True)
    return errors.InternalError()


def _to_validation_failure(
    request: Request[Any, Any, Any], error: ValidationException
) -> errors.Refusal:
    """Return the refusal for an invalid query or path parameter, or for a missing body."""
    details = error.extra if isinstance(error.extra, list) else []
    for detail in details:
        if (name := detail.get("key")) and name != "data":
            return query_parameters.invalid_parameter(request.route_handler, name)
    return errors.ValidationFailed("", "missing", "A body is required.")


def log_refusal(scope: Any, refusal: errors.Refusal) -> None:
    """Log that access was refused."""
    user = scope.get("user")
    security.log_event(
        "access-refused",
        code=refusal.code,
        address=rate_limits.client_address(scope),
        user=user.id if user else None,
    )


def log_and_convert(request: Request[Any, Any, Any], error: Exception) -> errors.Refusal:
    """Return the refusal for any error; refused access and bugs are logged."""
    parameters = request.scope.get("path_params", {})
    logs.add_to_context(
        **{name: parameters[name] for name in LOGGED_PATH_PARAMETERS & parameters.keys()}
    )
    refusal = _to_refusal(request, error)
    if isinstance(refusal, LOGGED_REFUSALS):
        log_refusal(request.scope, refusal)
    return refusal


def problem_response(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Return the problem document (RFC 9457) for any error."""
    refusal = log_and_convert(request, error)
    content = refusal.document(
        address=settings.load().address,
        instance=middleware.public_path(request.scope),
        request_id=logs.request_id.get(),
    )
    return Response(
        content,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type=errors.MEDIA_TYPE,
    )
