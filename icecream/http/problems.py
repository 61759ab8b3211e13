"""Refusals and other errors as problem documents (RFC 9457)."""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from icecream import database, errors, settings
from icecream.http import (
    methods,
    middleware,
    query_parameters,
)
from icecream.runtime import logs

log = logging.getLogger(__name__)
# Path parameters that are added to log lines.
IDS = {"order", "payment"}
# Litestar's own refusals, translated into ours.
BY_STATUS: dict[int, type[errors.Refusal]] = {
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.PayloadTooLarge,
    415: errors.UnsupportedMediaType,
    429: errors.QuotaExceeded,
}


def _refusal(request: Request[Any, Any, Any], error: Exception) -> errors.Refusal:
    if isinstance(error, errors.Refusal):
        return error
    if isinstance(error, ValidationException):
        return _invalid(request, error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        kind = BY_STATUS.get(error.status_code)
        refusal = kind() if kind else errors.ValidationFailed("", "invalid", error.detail)
        refusal.headers |= dict(error.headers or {})
        if allowed := refusal.headers.get("allow"):
            refusal.headers["allow"] = methods.allow(allowed.split(", "))
        return refusal
    if isinstance(error, InternalServerException) and "disconnected" in error.detail:
        log.info("Somebody hung up in the middle of a request.")
        return errors.ValidationFailed("", "malformed", "The body ended too soon.")
    if isinstance(error, database.AWAY):
        logs.DATABASE.failed(error)
        return errors.Unavailable()
    logs.fault(log, "Unhandled", error, every=True)
    return errors.InternalError()


def _invalid(request: Request[Any, Any, Any], error: ValidationException) -> errors.Refusal:
    """Return the refusal for an invalid query or path parameter, or for a missing body."""
    for one in error.extra if isinstance(error.extra, list) else []:
        if (name := one.get("key")) and name != "data":
            return query_parameters.unfit(request.route_handler, name)
    return errors.ValidationFailed("", "missing", "A body is required.")


def problem(request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    """Return the problem document (RFC 9457) for any error."""
    parameters = request.scope.get("path_params", {})
    logs.about(**{name: parameters[name] for name in IDS & parameters.keys()})
    refusal = _refusal(request, error)
    content = refusal.document(
        address=settings.load().address,
        instance=middleware.public_path(request.scope),
        request_id=logs.request_id.get(),
    )
    return Response(
        content,
        status_code=refusal.status,
        headers=refusal.headers,
        media_type="application/problem+json",
    )
