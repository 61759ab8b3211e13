"""All refusals of requests. A class's docstring is its public text, and its name is its code.

Each class is an RFC 9457 problem document; `app.py` has the one handler that writes them. Business
rules raise these classes and never an HTTP exception.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

# Of problem documents (RFC 9457).
MEDIA_TYPE = "application/problem+json"
# The maximum number of characters of a text from the request, so that a refusal stays small.
MAX_TEXT_LENGTH = 1000


def json_pointer(steps: Iterable[str]) -> str:
    """Return the JSON Pointer (RFC 6901) for a path of member names."""
    return "".join("/" + step.replace("~", "~0").replace("/", "~1") for step in steps)


class Refusal(Exception):
    """The request was refused."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "refused"
    # Header fields of every response of this kind.
    default_headers: ClassVar[dict[str, str]] = {}

    def __init__(self, detail: str | None = None, **members: Any) -> None:
        self.headers = dict(self.default_headers)
        self.detail = (detail or f"{self.title()}.")[:MAX_TEXT_LENGTH]
        self.members = members
        super().__init__(self.detail)

    def __init_subclass__(cls) -> None:
        cls.code = re.sub(r"(?<!^)(?=[A-Z])", "-", cls.__name__).lower()

    def document(self, *, address: str, instance: str, request_id: str) -> dict[str, Any]:
        """Return the problem document (RFC 9457); `type` is a page below our `address`."""
        return {
            "type": f"{address}/problems#{self.code}",
            "title": self.title(),
            "status": self.status,
            "detail": self.detail,
            "instance": instance[:MAX_TEXT_LENGTH],
            "code": self.code,
            "request_id": request_id,
        } | self.members

    @classmethod
    def title(cls) -> str:
        """Return the first sentence of the docstring, without its period."""
        return (cls.__doc__ or "").split("\n")[0].rstrip(".")


class ValidationFailed(Refusal):
    """The request is not valid."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        error = {
            "pointer": pointer[:MAX_TEXT_LENGTH],
            "code": code,
            "detail": detail[:MAX_TEXT_LENGTH],
        }
        super().__init__(detail, errors=[error])


def _challenge_header(problem: str = "") -> dict[str, str]:
    """Return the header that requests sign-in, with the error of the sent token (RFC 6750, 3)."""
    challenge = 'Bearer realm="icecream"'
    if problem:
        challenge += f', error="invalid_token", error_description="{problem}"'
    return {"WWW-Authenticate": challenge}


class UnknownParameter(Refusal):
    """There is no such query parameter."""

    def __init__(self, name: str, hint: str = "") -> None:
        detail = f"There is no query parameter {name[:MAX_TEXT_LENGTH]!r}{hint}."
        pointer = json_pointer([name])
        error = {
            "pointer": pointer[:MAX_TEXT_LENGTH],
            "code": self.code,
            "detail": detail[:MAX_TEXT_LENGTH],
        }
        super().__init__(detail, errors=[error])


class HostInvalid(Refusal):
    """The Host header is not one valid name or address."""


class Unauthenticated(Refusal):
    """Sign in first."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header()


class InvalidToken(Refusal):
    """The access token is not valid."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header("The access token is not valid")


class ExpiredToken(Refusal):
    """The access token has expired."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header("The access token has expired")


class InvalidRefreshToken(Refusal):
    """The refresh token is not valid."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header()


class WrongCredentials(Refusal):
    """No active account has this name and password."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header()


class InvalidSignature(Refusal):
    """The webhook has no valid signature of the payment provider."""

    status = 401
    default_headers: ClassVar[dict[str, str]] = _challenge_header()


class Forbidden(Refusal):
    """You may not do this."""

    status = 403


class InsufficientScope(Refusal):
    """The API key does not allow this."""

    status = 403

    def __init__(self, scopes: Sequence[str]) -> None:
        """Refuse a key without one of these scopes; without any, no key is enough."""
        detail = f"This needs an API key with the scope {' or '.join(scopes)}."
        super().__init__(detail if scopes else "No API key may do this: sign in with a password.")
        # RFC 6750, 3.1.
        challenge = 'Bearer realm="icecream", error="insufficient_scope"'
        if scopes:
            challenge += f', scope="{scopes[0]}"'
        self.headers["WWW-Authenticate"] = challenge


class NotFound(Refusal):
    """The resource does not exist."""

    status = 404


class MethodNotAllowed(Refusal):
    """This address does not support this method."""

    status = 405


class TooManyApiKeys(Refusal):
    """The account has too many API keys: revoke one first."""

    status = 409


class NameTaken(Refusal):
    """This name is taken."""

    status = 409


class SkuTaken(Refusal):
    """Another flavor has this article number."""

    status = 409


class AccountExists(Refusal):
    """There is already an account with this name or email."""

    status = 409


class FlavorArchived(Refusal):
    """This flavor is no longer sold."""

    status = 409


class StockChanged(Refusal):
    """The stock changed after the page was loaded."""

    status = 409


class EditConflict(Refusal):
    """This was changed after the page was loaded; reload the page."""

    status = 409


class InsufficientStock(Refusal):
    """There is not enough stock left."""

    status = 409


class InvalidTransition(Refusal):
    """The status of the order does not allow this."""

    status = 409

    def __init__(self, source: str, target: str, allowed: Sequence[str], detail: str = "") -> None:
        change = "paid again" if target == "pending" else target
        detail = detail or f"A {source} order cannot be {change}."
        members = {"from": source, "to": target, "allowed": list(allowed)}
        super().__init__(detail, **members)


class AlreadyPacked(Refusal):
    """A packed order cannot be canceled: unpack it first, or refund it."""

    status = 409


class AlreadyRestocked(Refusal):
    """Some goods of the order are back in stock: refund the rest instead of canceling it."""

    status = 409


class LastAdmin(Refusal):
    """This is the last active admin."""

    status = 409


class PaymentMethodRequired(Refusal):
    """A payment method is required: set one first."""

    status = 409


class PaymentMethodTaken(Refusal):
    """This payment method belongs to another account."""

    status = 409


class RefundInProgress(Refusal):
    """Another refund of this order is in progress."""

    status = 409


class RefundTooLarge(Refusal):
    """The refund is larger than the amount that is left."""

    status = 409


class RefundedQuantityTooLarge(Refusal):
    """More of a flavor would be refunded than is left of it in the order."""

    status = 409


class NotParked(Refusal):
    """This payment is not parked."""

    status = 409


class ReferenceTaken(Refusal):
    """This reference belongs to another payment."""

    status = 409


class NothingCharged(Refusal):
    """No charged amount is known for this payment."""

    status = 409


class NothingRefunded(Refusal):
    """No refunded amount is known for this payment."""

    status = 409


class TooManyWebhooks(Refusal):
    """The account has as many webhook endpoints as allowed."""

    status = 409

    def __init__(self, most: int) -> None:
        super().__init__(f"You have {most} webhook endpoints; delete one first.")


class WebhookDisabled(Refusal):
    """The webhook endpoint is disabled: enable it first."""

    status = 409


class TooManyDeliveries(Refusal):
    """Too many messages wait for this webhook endpoint."""

    status = 409


class IdempotencyKeyInvalid(Refusal):
    """The Idempotency-Key is not 1 to 255 visible ASCII characters."""


class IdempotencyKeyInUse(Refusal):
    """The first request with this Idempotency-Key is still in progress."""

    status = 409
    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key was used for another request before."""

    status = 422


class PreconditionFailed(Refusal):
    """It was edited after you read it."""

    status = 412


class PasswordLinkInvalid(Refusal):
    """This link is not valid any more: it was used, it has expired, or there is a newer one."""

    status = 410


class PayloadTooLarge(Refusal):
    """The request is too large."""

    status = 413


class UnsupportedMediaType(Refusal):
    """The body must be JSON, a URL-encoded form or a multipart form."""

    status = 415


# A rate limit was exceeded, or the limit of open streams. The name is the published code.
class QuotaExceeded(Refusal):
    """Too many requests."""

    status = 429


class InternalError(Refusal):
    """Something went wrong on our side."""

    status = 500


class Unavailable(Refusal):
    """The service is temporarily unavailable."""

    status = 503
    default_headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}
