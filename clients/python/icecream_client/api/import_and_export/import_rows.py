from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.import_rows_kind import ImportRowsKind
from ...models.problem import Problem
from ...types import UNSET, File, Response, Unset


def _get_kwargs(
    kind: ImportRowsKind,
    *,
    body: File,
    dry_run: bool | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    params: dict[str, Any] = {}

    params["dry_run"] = dry_run

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/import/{kind}".format(
            kind=quote(str(kind), safe=""),
        ),
        "params": params,
    }

    _kwargs["content"] = body.payload
    headers["Content-Type"] = "application/x-ndjson"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> File | Problem | None:
    if response.status_code == 200:
        response_200 = File(payload=BytesIO(response.content))

        return response_200

    if response.status_code == 400:
        response_400 = Problem.from_dict(response.json())

        return response_400

    if response.status_code == 401:
        response_401 = Problem.from_dict(response.json())

        return response_401

    if response.status_code == 403:
        response_403 = Problem.from_dict(response.json())

        return response_403

    if response.status_code == 404:
        response_404 = Problem.from_dict(response.json())

        return response_404

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

    if response.status_code == 429:
        response_429 = Problem.from_dict(response.json())

        return response_429

    if response.status_code == 500:
        response_500 = Problem.from_dict(response.json())

        return response_500

    if response.status_code == 503:
        response_503 = Problem.from_dict(response.json())

        return response_503

    if client.raise_on_unexpected_status:
        raise errors.UnexpectedStatus(response.status_code, response.content)
    else:
        return None


def _build_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Response[File | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    kind: ImportRowsKind,
    *,
    client: AuthenticatedClient | Client,
    body: File,
    dry_run: bool | Unset = UNSET,
) -> Response[File | Problem]:
    """Import rows

     Import a file with a row for each flavor, price, account, receipt or order. For staff.

    The body is CSV with a header, or JSON lines. If the file cannot be read, the response is an
    error, and nothing was imported. Otherwise it has one line for each row, in JSON, and then a
    line with the `summary`. Refused rows change nothing, and the others are imported.

    Import the same file again after any failure: rows that were imported before are
    `unchanged`. Orders are charged when they are placed.

    Args:
        kind (ImportRowsKind):
        dry_run (bool | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        kind=kind,
        body=body,
        dry_run=dry_run,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    kind: ImportRowsKind,
    *,
    client: AuthenticatedClient | Client,
    body: File,
    dry_run: bool | Unset = UNSET,
) -> File | Problem | None:
    """Import rows

     Import a file with a row for each flavor, price, account, receipt or order. For staff.

    The body is CSV with a header, or JSON lines. If the file cannot be read, the response is an
    error, and nothing was imported. Otherwise it has one line for each row, in JSON, and then a
    line with the `summary`. Refused rows change nothing, and the others are imported.

    Import the same file again after any failure: rows that were imported before are
    `unchanged`. Orders are charged when they are placed.

    Args:
        kind (ImportRowsKind):
        dry_run (bool | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return sync_detailed(
        kind=kind,
        client=client,
        body=body,
        dry_run=dry_run,
    ).parsed


async def asyncio_detailed(
    kind: ImportRowsKind,
    *,
    client: AuthenticatedClient | Client,
    body: File,
    dry_run: bool | Unset = UNSET,
) -> Response[File | Problem]:
    """Import rows

     Import a file with a row for each flavor, price, account, receipt or order. For staff.

    The body is CSV with a header, or JSON lines. If the file cannot be read, the response is an
    error, and nothing was imported. Otherwise it has one line for each row, in JSON, and then a
    line with the `summary`. Refused rows change nothing, and the others are imported.

    Import the same file again after any failure: rows that were imported before are
    `unchanged`. Orders are charged when they are placed.

    Args:
        kind (ImportRowsKind):
        dry_run (bool | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[File | Problem]
    """

    kwargs = _get_kwargs(
        kind=kind,
        body=body,
        dry_run=dry_run,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    kind: ImportRowsKind,
    *,
    client: AuthenticatedClient | Client,
    body: File,
    dry_run: bool | Unset = UNSET,
) -> File | Problem | None:
    """Import rows

     Import a file with a row for each flavor, price, account, receipt or order. For staff.

    The body is CSV with a header, or JSON lines. If the file cannot be read, the response is an
    error, and nothing was imported. Otherwise it has one line for each row, in JSON, and then a
    line with the `summary`. Refused rows change nothing, and the others are imported.

    Import the same file again after any failure: rows that were imported before are
    `unchanged`. Orders are charged when they are placed.

    Args:
        kind (ImportRowsKind):
        dry_run (bool | Unset):
        body (File):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        File | Problem
    """

    return (
        await asyncio_detailed(
            kind=kind,
            client=client,
            body=body,
            dry_run=dry_run,
        )
    ).parsed
