"""Stripe's paths, idempotency keys, and the faults of requests."""

import asyncio
import base64
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.types import Message, Scope

from icecream.sandbox import queries
from icecream.sandbox.faults import Faults
from icecream.sandbox.objects import (
    ApiError,
    ApiResponse,
    ChangeEntry,
    ExecutionEntry,
    RefundObject,
    RequestEntry,
    StripeObject,
    build_response,
    key_in_use,
)
from icecream.sandbox.server import reset_connection, wait_for_disconnect
from icecream.sandbox.state import Bank, FormData
from icecream.sandbox.webhooks import Webhooks

log = logging.getLogger(__name__)
Call = Request[Any, Any, Any]
# A date, and since 2024 also the name of a release.
VERSION_PATTERN = re.compile(r"\d{4}-\d\d-\d\d(\.\w+)?")
Operation = Callable[[FormData, str | None], StripeObject]
# For a request that only reads, these faults are replaced.
FAULT_OF_READS = {
    "refuse": "reset-before",
    "reset-after": "reset-before",
    "500-after": "500-before",
    "timeout-after": "timeout-before",
    "in-use": None,
}


class ClientDisconnected(Exception):
    """The client has closed the connection, so there is no response."""


class RequestHandler:
    """Handles requests, with their faults.

    Args:
        slow: the seconds that a slow response takes.
        late: the seconds from the client's disconnect until a late request is carried out, and also
            the seconds for which a payment is processed.
    """

    def __init__(
        self, bank: Bank, faults: Faults, webhooks: Webhooks, *, slow: float, late: float
    ) -> None:
        self._bank, self._faults, self._webhooks = bank, faults, webhooks
        self._slow, self._late = slow, late
        self._keys_in_use: set[str] = set()
        self._processing: set[asyncio.Task[None]] = set()

    async def write(self, request: Call, operation: Operation) -> Response[Any]:
        """Handle a request that moves money."""
        entry = await self._read_request(request)
        if entry.fault == "refuse":
            _reset_connection(request)
        self._bank.record(entry)
        await self._apply_fault(request, entry.fault)
        if entry.fault == "late":
            await wait_for_disconnect(request)
            await asyncio.sleep(self._late)
        response = await self._execute_once(entry, operation)
        if entry.fault == "reset-after":
            _reset_connection(request)
        if entry.fault == "timeout-after":
            await wait_for_disconnect(request)
        return response

    async def _read_request(self, request: Call) -> RequestEntry:
        key = request.headers.get("idempotency-key")
        form = _parse_form(await request.body())
        first = self._bank.use_key(key)
        return RequestEntry(
            at=time.time(),
            by=_api_key_suffix(request),
            path=request.scope["path"],
            key=key,
            form=form,
            fault=self._faults.choose(form.get("amount", ""), first=first),
        )

    async def read(self, request: Call, load: Callable[[FormData], Any]) -> Response[Any]:
        """Handle a request that only reads."""
        _api_key_suffix(request)
        fault = self._faults.choose("", first=False) or ""
        await self._apply_fault(request, FAULT_OF_READS.get(fault, fault))
        result = load(_parse_form(request.scope["query_string"]))
        # A response must not contain anything that a crash could undo.
        await self._bank.ledger.flush()
        return _response(ApiResponse(200, result))

    async def _apply_fault(self, request: Call, fault: str | None) -> None:
        """Apply a fault that hits a request before it is carried out."""
        if fault is not None:
            await self._bank.ledger.flush()
        if fault == "429":
            raise ApiError(429, "invalid_request_error", code="rate_limit")
        if fault == "in-use":
            raise key_in_use()
        if fault == "500-before":
            raise ApiError(500, "api_error")
        if fault == "reset-before":
            _reset_connection(request)
        if fault == "timeout-before":
            await wait_for_disconnect(request)
            raise ClientDisconnected

    async def _execute_once(self, entry: RequestEntry, operation: Operation) -> Response[Any]:
        if entry.key in self._keys_in_use:
            raise key_in_use()
        if (stored := self._bank.find_response(entry)) is not None:
            await self._bank.ledger.flush()
            return _response(stored, {"Idempotent-Replayed": "true"})
        if entry.key is None:
            return await self._execute(entry, operation)
        self._keys_in_use.add(entry.key)
        try:
            return await self._execute(entry, operation)
        finally:
            self._keys_in_use.discard(entry.key)

    async def _execute(self, entry: RequestEntry, operation: Operation) -> Response[Any]:
        if entry.fault == "slow":
            await asyncio.sleep(self._slow)
        result = operation(entry.form, entry.fault)
        execution = ExecutionEntry(
            at=time.time(),
            request=entry,
            result=result,
            error=entry.fault == "500-after",
        )
        self._bank.record(execution)
        response = _response(build_response(execution, self._bank.intents))
        await self._bank.ledger.flush()
        self._webhooks.send(result, twice=entry.fault == "duplicate-webhooks")
        self._schedule_end(result, fails=entry.fault == "refund-fails")
        return response

    def _schedule_end(self, stripe_object: StripeObject, *, fails: bool = False) -> None:
        fails = fails and isinstance(stripe_object, RefundObject)
        if fails or stripe_object.status in ("processing", "pending"):
            task = asyncio.create_task(self._end(stripe_object, "failed" if fails else "succeeded"))
            self._processing.add(task)
            task.add_done_callback(self._processing.discard)

    async def _end(self, stripe_object: StripeObject, status: str) -> None:
        await asyncio.sleep(self._late)
        self._bank.record(ChangeEntry(at=time.time(), reference=stripe_object.id, status=status))
        await self._bank.ledger.flush()
        self._webhooks.send(stripe_object)

    @asynccontextmanager
    async def open(self, app: Litestar) -> AsyncIterator[None]:
        """Finish the payments and refunds that were processing when the sandbox stopped."""
        for objects in (self._bank.intents, self._bank.refunds):
            for stripe_object in objects.values():
                self._schedule_end(stripe_object)
        yield
        await self._bank.ledger.flush()


def _parse_form(text: bytes) -> FormData:
    return dict(parse_qsl(text.decode(errors="replace")))


def _check_version(request: Call) -> None:
    version = request.headers.get("stripe-version")
    if version is not None and not VERSION_PATTERN.fullmatch(version):
        raise ApiError(400, message=f"Invalid Stripe API version: {version}.")


def _return_version(message: Message, scope: Scope) -> None:
    """Return the version of the API that the client has chosen, as Stripe does."""
    if message["type"] == "http.response.start":
        chosen = [field for field in scope["headers"] if field[0] == b"stripe-version"]
        message["headers"] = [*message["headers"], *chosen]


def _api_key_suffix(request: Call) -> str:
    """Check the API key, and return only its end, because the whole key could be a secret."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        # `curl -u sk_test_...:` sends the key as a user name without a password.
        key = _decode_base64(key).partition(":")[0]
    if scheme not in ("Bearer", "Basic") or not key.startswith("sk_test_"):
        raise ApiError(401, code="api_key_invalid")
    return key[-4:]


def _decode_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _internal_error(_: Call, error: Exception) -> Response[Any]:
    """Return an internal error in a format that all SDKs recognize as an error."""
    log.error("Internal error of the sandbox: %r", error, exc_info=error)
    return _response(ApiError(500, "api_error").response)


def _reset_connection(request: Call) -> NoReturn:
    reset_connection(request)
    raise ClientDisconnected


def _response(response: ApiResponse, more: dict[str, str] | None = None) -> Response[Any]:
    headers = {"Request-Id": f"req_{secrets.token_hex(7)}"} | (more or {})
    return Response(response.body, status_code=response.status, headers=headers)


def create_app(bank: Bank, handler: RequestHandler, *, search_lag: float) -> Litestar:
    """Return the application with Stripe's paths."""

    @post("/v1/payment_intents")
    async def charge(request: Call) -> Response[Any]:
        return await handler.write(request, bank.charge)

    @post("/v1/payment_intents/{reference:str}/confirm")
    async def confirm(request: Call, reference: FromPath[str]) -> Response[Any]:
        return await handler.write(request, partial(bank.confirm, reference))

    @post("/v1/refunds")
    async def refund(request: Call) -> Response[Any]:
        return await handler.write(request, bank.refund)

    @get("/v1/payment_intents/search")
    async def search(request: Call) -> Response[Any]:
        return await handler.read(
            request, lambda query: queries.search_intents(bank, query, search_lag)
        )

    @get(list(queries.PATHS.values()))
    async def page(request: Call) -> Response[Any]:
        kind = _kind_of_path(request)
        return await handler.read(request, lambda query: queries.list_objects(bank, kind, query))

    @get([f"{path}/{{reference:str}}" for path in queries.PATHS.values()])
    async def retrieve(request: Call, reference: FromPath[str]) -> Response[Any]:
        kind = _kind_of_path(request)
        return await handler.read(
            request, lambda query: queries.retrieve(bank, kind, reference, query)
        )

    return Litestar(
        [charge, confirm, refund, search, page, retrieve],
        before_request=_check_version,
        before_send=[_return_version],
        lifespan=[handler.open],
        openapi_config=None,
        logging_config=None,
        exception_handlers={
            ApiError: lambda _, error: _response(error.response),
            HTTPException: lambda _, error: _response(ApiError(error.status_code).response),
            ClientDisconnected: lambda _, error: Response(None),
            Exception: _internal_error,
        },
    )


def _kind_of_path(request: Call) -> type[StripeObject]:
    path: str = request.scope["path"]
    return next(kind for kind, prefix in queries.PATHS.items() if path.startswith(prefix))
