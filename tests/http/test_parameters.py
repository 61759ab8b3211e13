"""Test that handlers get the same parameters as from Litestar itself."""

from typing import Annotated, Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.params import HeaderParameter, QueryParameter

from icecream.http import parameters
from icecream.http.bodies import PathId

pytestmark = pytest.mark.anyio


@get(["/", "/{flavor:int}"])
async def optional(
    flavor: PathId = 0,
    limit: Annotated[int, QueryParameter(le=9)] = 5,
    names: Annotated[list[str] | None, QueryParameter(name="name")] = None,
    tag: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
    prefer: Annotated[str, HeaderParameter(name="Prefer")] = "nothing",
) -> dict[str, Any]:
    return {"parameters": [flavor, limit, names, tag, prefer]}


@get("/required")
async def required(
    limit: Annotated[int, QueryParameter()],
    tag: Annotated[str | None, HeaderParameter(name="If-Match")] = None,
) -> dict[str, Any]:
    return {"parameters": [limit, tag]}


@get("/header")
async def required_header(
    tag: Annotated[str, HeaderParameter(name="If-Match")],
    limit: Annotated[int, QueryParameter()] = 3,
) -> dict[str, Any]:
    return {"parameters": [tag, limit]}


async def _answer(path: str, headers: list[tuple[bytes, bytes]], *plugins: Any) -> httpx.Response:
    app = Litestar([optional, required, required_header], plugins=plugins)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


@pytest.mark.parametrize("path", ["/", "/7", "/required", "/header"])
@pytest.mark.parametrize("query", ["", "?limit=4", "?limit=10", "?limit=x", "?name=a&name=b"])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"If-Match", b'"3"')],
        [(b"IF-MATCH", b"\xe9"), (b"Prefer", b"wait=1")],
        [(b"If-Match", b'"3"'), (b"If-Match", b'"4"')],
        [(b"Accept", b"*/*")],
    ],
)
async def test_a_handler_gets_the_same_parameters_as_from_litestar(
    path: str, query: str, headers: list[tuple[bytes, bytes]]
) -> None:
    ours = await _answer(path + query, headers, parameters.QuickParameters())
    theirs = await _answer(path + query, headers)
    assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json())
