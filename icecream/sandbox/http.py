"""Stripe's paths, idempotency keys, and the faults of requests."""

import asyncio
import base64
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from litestar import Litestar, Request, Response, get, post
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from icecream.sandbox import queries
from icecream.sandbox.faults import Faults
from icecream.sandbox.objects import (
    Answer,
    Asked,
    Changed,
    Done,
    Refund,
    Refusal,
    Thing,
    answer,
    in_use,
)
from icecream.sandbox.server import gone, reset
from icecream.sandbox.state import Bank, Form
from icecream.sandbox.webhooks import Webhooks

log = logging.getLogger(__name__)
Call = Request[Any, Any, Any]
Work = Callable[[Form, str | None], Thing]
# The equivalent of each fault for a request that moves no money.
IN_READING = {
    "refuse": "reset-before",
    "reset-after": "reset-before",
    "500-after": "500-before",
    "timeout-after": "timeout-before",
    "in-use": None,
}


class Gone(Exception):
    """The client has closed the connection, so there is no response."""


class Desk:
    """Handles the requests.

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
        self._busy: set[str] = set()
        self._processing: set[asyncio.Task[None]] = set()

    async def move(self, request: Call, work: Work) -> Response[Any]:
        """Handle a request that moves money."""
        asked = await self._heard(request)
        if asked.fault == "refuse":
            _reset(request)
        self._bank.note(asked)
        await self._befall(request, asked.fault)
        if asked.fault == "late":
            await gone(request)
            await asyncio.sleep(self._late)
        answered = await self._once(asked, work)
        if asked.fault == "reset-after":
            _reset(request)
        if asked.fault == "timeout-after":
            await gone(request)
        return answered

    async def _heard(self, request: Call) -> Asked:
        key = request.headers.get("idempotency-key")
        form = dict(parse_qsl((await request.body()).decode(errors="replace")))
        first = self._bank.meets(key)
        return Asked(
            at=time.time(),
            by=_caller(request),
            path=request.scope["path"],
            key=key,
            form=form,
            fault=self._faults.draw(form.get("amount", ""), first=first),
        )

    async def read(self, request: Call, body: Callable[[], Any]) -> Response[Any]:
        """Handle a request that moves no money."""
        _caller(request)
        fault = self._faults.draw("", first=False) or ""
        await self._befall(request, IN_READING.get(fault, fault))
        read = body()
        # A response must not report anything that a crash could still undo.
        await self._bank.ledger.kept()
        return _response(Answer(200, read))

    async def _befall(self, request: Call, fault: str | None) -> None:
        """Apply a fault that hits a request before it is carried out."""
        if fault is not None:
            await self._bank.ledger.kept()
        if fault == "429":
            raise Refusal(429, "rate_limit_error")
        if fault == "in-use":
            raise in_use()
        if fault == "500-before":
            raise Refusal(500, "api_error")
        if fault == "reset-before":
            _reset(request)
        if fault == "timeout-before":
            await gone(request)
            raise Gone

    async def _once(self, asked: Asked, work: Work) -> Response[Any]:
        if asked.key in self._busy:
            raise in_use()
        if (known := self._bank.remembered(asked)) is not None:
            await self._bank.ledger.kept()
            return _response(known, {"Idempotent-Replayed": "true"})
        if asked.key is None:
            return await self._carry_out(asked, work)
        self._busy.add(asked.key)
        try:
            return await self._carry_out(asked, work)
        finally:
            self._busy.discard(asked.key)

    async def _carry_out(self, asked: Asked, work: Work) -> Response[Any]:
        if asked.fault == "slow":
            await asyncio.sleep(self._slow)
        thing = work(asked.form, asked.fault)
        done = Done(at=time.time(), asked=asked, thing=thing, error=asked.fault == "500-after")
        self._bank.note(done)
        answered = _response(answer(done))
        await self._bank.ledger.kept()
        self._webhooks.tell(thing, twice=asked.fault == "duplicate-webhooks")
        self._await_end(thing, fails=asked.fault == "refund-fails")
        return answered

    def _await_end(self, thing: Thing, *, fails: bool = False) -> None:
        fails = fails and isinstance(thing, Refund)
        if fails or thing.status in ("processing", "pending"):
            task = asyncio.create_task(self._end(thing, "failed" if fails else "succeeded"))
            self._processing.add(task)
            task.add_done_callback(self._processing.discard)

    async def _end(self, thing: Thing, status: str) -> None:
        await asyncio.sleep(self._late)
        self._bank.note(Changed(at=time.time(), reference=thing.id, status=status))
        await self._bank.ledger.kept()
        self._webhooks.tell(thing)

    @asynccontextmanager
    async def open(self, app: Litestar) -> AsyncIterator[None]:
        """Finish what was still processing when the sandbox was stopped."""
        for books in (self._bank.intents, self._bank.refunds):
            for thing in books.values():
                self._await_end(thing)
        yield
        await self._bank.ledger.kept()


def _caller(request: Call) -> str:
    """Return the end of the caller's API key; the whole key could be a secret."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme == "Basic":
        # `curl -u sk_test_...:` sends the key as a user name without a password.
        key = _decoded(key).partition(":")[0]
    if scheme not in ("Bearer", "Basic") or not key.startswith("sk_test_"):
        raise Refusal(401, code="api_key_invalid")
    return key[-4:]


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        return ""


def _failed(_: Call, error: Exception) -> Response[Any]:
    """Return an internal error of the sandbox in a format that all SDKs read as an error."""
    log.error("The sandbox failed: %r", error, exc_info=error)
    return _response(Refusal(500, "api_error").answer)


def _reset(request: Call) -> NoReturn:
    reset(request)
    raise Gone


def _response(answered: Answer, more: dict[str, str] | None = None) -> Response[Any]:
    headers = {"Request-Id": f"req_{secrets.token_hex(7)}"} | (more or {})
    return Response(answered.body, status_code=answered.status, headers=headers)


def create(bank: Bank, desk: Desk, *, search_lag: float) -> Litestar:
    """Return the application with Stripe's paths."""

    @post("/v1/payment_intents")
    async def charge(request: Call) -> Response[Any]:
        return await desk.move(request, bank.charge)

    @post("/v1/refunds")
    async def refund(request: Call) -> Response[Any]:
        return await desk.move(request, bank.refund)

    @get("/v1/payment_intents/search")
    async def search(request: Call) -> Response[Any]:
        query = dict(request.query_params)
        return await desk.read(request, lambda: queries.search(bank.intents, query, search_lag))

    @get(["/v1/payment_intents", "/v1/refunds"])
    async def page(request: Call) -> Response[Any]:
        query = dict(request.query_params)
        return await desk.read(
            request, lambda: queries.page(request.scope["path"], _books(bank, request), query)
        )

    @get(["/v1/payment_intents/{reference:str}", "/v1/refunds/{reference:str}"])
    async def retrieve(request: Call, reference: FromPath[str]) -> Response[Any]:
        def read() -> Thing:
            thing: Thing | None = _books(bank, request).get(reference)
            if thing is None:
                raise Refusal(404, code="resource_missing", param="id")
            return thing

        return await desk.read(request, read)

    return Litestar(
        [charge, refund, search, page, retrieve],
        lifespan=[desk.open],
        openapi_config=None,
        logging_config=None,
        exception_handlers={
            Refusal: lambda _, refusal: _response(refusal.answer),
            HTTPException: lambda _, error: _response(Refusal(error.status_code).answer),
            Gone: lambda _, error: Response(None),
            Exception: _failed,
        },
    )


def _books(bank: Bank, request: Call) -> dict[str, Any]:
    books: dict[str, Any] = {"payment_intents": bank.intents, "refunds": bank.refunds}
    found: dict[str, Any] = books[request.scope["path"].split("/")[2]]
    return found
