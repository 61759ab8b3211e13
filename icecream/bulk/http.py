"""Import and export over HTTP, for staff."""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO

import msgspec
from litestar import Controller, get, post
from litestar.datastructures import State
from litestar.openapi.spec import (
    Example,
    OpenAPIFormat,
    OpenAPIMediaType,
    OpenAPIType,
    RequestBody,
    Schema,
)
from litestar.params import Parameter, PathParameter, QueryParameter
from litestar.response import Stream
from litestar.types import ASGIApp, Receive, Scope, Send

from icecream import database, errors
from icecream.accounts import api_keys
from icecream.accounts import http as accounts_http
from icecream.bulk import customers, reading, running, writing
from icecream.bulk.kinds import Kind
from icecream.http import bodies, openapi, pagination
from icecream.runtime import logs

# 100,000 rows have ten to twenty megabytes.
MAX_FILE_BYTES = 100_000_000
SEND_TIMEOUT_SECONDS = 30
# The interval of the checks whether the caller may still import.
RIGHTS_CHECK_SECONDS = 1.0
FORMATS: dict[str, reading.Format] = {"text/csv": "csv", bodies.JSON_LINES: "jsonl"}
EXAMPLES = {
    "text/csv": "key,flavor_name,quantity,reason\r\nD-1207-1,Choclate,40,delivery 1207\r\n",
    bodies.JSON_LINES: '{"key":"D-1207-1","flavor_name":"Choclate","quantity":40,'
    '"reason":"delivery 1207"}\n',
}
RESULT_EXAMPLE = (
    '{"row":2,"result":"created","id":57}\n'
    '{"row":3,"result":"refused","pointer":"/flavor_name","code":"unknown-flavor",'
    '"detail":"There is no flavor with the name Chocolate."}\n'
    '{"summary":{"rows":2,"created":1,"updated":0,"unchanged":0,"skipped":0,"refused":1,'
    '"dry_run":false}}\n'
)
STAFF_ONLY = errors.Forbidden(accounts_http.STAFF_ONLY)
WRONG_TYPE = errors.UnsupportedMediaType(f"The body must be text/csv or {bodies.JSON_LINES}.")
BUSY = errors.Unavailable("Another import is running; try again later.")
# A file of any length: this is the largest number that every reader of the document supports.
_FILE = Schema(
    type=OpenAPIType.STRING,
    format=OpenAPIFormat.BINARY,
    max_length=2**31 - 1,
    # Rows that cannot be read are refused one by one.
    pattern=r"^[\s\S]*$",
)
KindName = Annotated[
    str,
    PathParameter(
        description="What the rows are.",
        schema_extra={"enum": list(running.KINDS), "examples": ["stock"]},
    ),
]


def _media_type(example: str) -> OpenAPIMediaType:
    return OpenAPIMediaType(schema=_FILE, examples={"file": Example(value=example)})


@dataclass
class ImportOperation(openapi.ApiOperation):
    """An operation with a file as its body, and a result for each row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        content = {name: _media_type(text) for name, text in EXAMPLES.items()}
        self.request_body = RequestBody(content=content, required=True)
        responses: dict[str, Any] = self.responses or {}
        responses["200"].content = {bodies.JSON_LINES: _media_type(RESULT_EXAMPLE)}


@dataclass
class ExportOperation(openapi.ApiOperation):
    """An operation with a file as its response."""

    def __post_init__(self) -> None:
        super().__post_init__()
        responses: dict[str, Any] = self.responses or {}
        responses["200"].content = {name: _media_type(text) for name, text in EXAMPLES.items()}


class BulkFiles(Controller):
    """The handlers for files with many rows."""

    path = "/api"
    tags = ["Import and export"]
    guards = [accounts_http.require_staff]

    @post(
        "/import/{kind:str}",
        opt=accounts_http.FOR_ORDERS,
        request_max_body_size=MAX_FILE_BYTES,
        **openapi.operation(
            "importRows",
            "Import rows",
            str,
            "",
            errors.NotFound(),
            errors.ValidationFailed("/1", "missing", "Row 1 of the file: there is no column key."),
            errors.PayloadTooLarge(),
            WRONG_TYPE,
            STAFF_ONLY,
            BUSY,
            kind=ImportOperation,
        ),
    )
    async def import_rows(
        self,
        request: bodies.ApiRequest,
        kind: KindName,
        state: State,
        dry_run: Annotated[
            bool, Parameter(description="Return the results, and change nothing.")
        ] = False,
    ) -> ASGIApp:
        """Import a file with a row for each flavor, price, account, receipt or order. For staff.

        The body is CSV with a header, or JSON lines. If the file cannot be read, the response is an
        error, and nothing was imported. Otherwise it has one line for each row, in JSON, and then a
        line with the `summary`. Refused rows change nothing, and the others are imported.

        Import the same file again after any failure: rows that were imported before are
        `unchanged`. Orders are charged when they are placed.
        """
        bodies.refuse_content_encoding(request.headers.get("content-encoding"))
        file_format = FORMATS.get(request.content_type[0])
        if file_format is None:
            raise errors.UnsupportedMediaType(WRONG_TYPE.detail)
        if kind == customers.CUSTOMERS.name and isinstance(request.auth, api_keys.KeyAccess):
            raise errors.Forbidden("An API key cannot import accounts: sign in.")
        return _ImportResponse(request, _find_kind(kind), file_format, state, dry_run=dry_run)

    @get(
        "/export/{kind:str}",
        **openapi.operation(
            "exportRows",
            "Export rows",
            str,
            "",
            errors.NotFound(),
            STAFF_ONLY,
            kind=ExportOperation,
        ),
    )
    async def export_rows(
        self,
        request: bodies.ApiRequest,
        kind: KindName,
        format_: Annotated[
            str | None,
            QueryParameter(
                name="format",
                schema_extra={"enum": list(FORMATS.values())},
                description="`csv`, or `jsonl` for JSON lines; by default `csv`.",
            ),
        ] = None,
    ) -> ASGIApp:
        """Export all rows of a kind, as a file that an import reads. For staff.

        Passwords and payment methods are not exported.
        """
        found = _find_kind(kind)
        pagination.parse_choice("format", format_, FORMATS.values())
        file_format: reading.Format = "jsonl" if format_ == "jsonl" else "csv"
        text = writing.write_rows(found, file_format)
        # The first rows are read before the response begins, while an error is still possible.
        first = await anext(text, "")
        name = f"{kind}.{file_format}"
        media_type = bodies.CSV if file_format == "csv" else bodies.JSON_LINES
        stream = Stream(
            _continue(first, text), media_type=media_type, headers=bodies.attachment(name)
        )
        return stream.to_asgi_response(None, request)


def _find_kind(name: str) -> Kind:
    if name not in running.KINDS:
        raise errors.NotFound
    return running.KINDS[name]


async def _continue(first: str, text: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for more in text:
        yield more


class _ImportResponse:
    """Receives the file, imports it, and sends the results of each batch.

    The file is received first. Most clients read the response only after they have sent all, and
    would wait for each other with a server that writes before it has read.
    """

    def __init__(
        self,
        request: bodies.ApiRequest,
        kind: Kind,
        file_format: reading.Format,
        state: State,
        *,
        dry_run: bool,
    ) -> None:
        self._request, self._kind, self._format = request, kind, file_format
        self._state, self._dry_run = state, dry_run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with tempfile.TemporaryFile() as file:
            await self._request.receive_body(file.write)
            async with _only_one(self._state.import_lock):
                await self._import(file, send)

    async def _import(self, file: BinaryIO, send: Send) -> None:
        work = running.Import(
            file,
            self._kind,
            self._format,
            by=self._request.user,
            dry_run=self._dry_run,
            on_placed=self._state.order_placer.after_commit,
        )
        await work.check()
        # The upload may have taken long.
        await accounts_http.require_same_rights(self._request)
        headers = [(b"content-type", bodies.JSON_LINES.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        last: Any
        try:
            checked_at = time.monotonic()
            async with aclosing(work.run()) as batches:
                async for results in batches:
                    await _send_lines(results, send)
                    if time.monotonic() - checked_at >= RIGHTS_CHECK_SECONDS:
                        await accounts_http.require_same_rights(self._request)
                        checked_at = time.monotonic()
            last = {"summary": work.summary}
        except database.DATABASE_UNAVAILABLE as error:
            logs.DATABASE_OUTAGE.record_failure(error)
            last = _error(errors.Unavailable("The import stopped; import the file again."))
        except errors.Refusal as refusal:
            last = _error(refusal)
        await _send_lines([last], send, more=False)


def _error(refusal: errors.Refusal) -> dict[str, Any]:
    return {"error": {"code": refusal.code, "detail": refusal.detail}}


async def _send_lines(values: list[Any], send: Send, *, more: bool = True) -> None:
    body = b"".join(msgspec.json.encode(value) + b"\n" for value in values)
    # A client that does not read would stop all other imports.
    async with asyncio.timeout(SEND_TIMEOUT_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": more})


@asynccontextmanager
async def _only_one(lock: asyncio.Lock) -> AsyncIterator[None]:
    """Allow one import at a time in each process: its file takes space, and its orders time."""
    if lock.locked():
        raise errors.Unavailable(BUSY.detail)
    async with lock:
        yield
