from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.flavor_view import FlavorView
from ...models.problem import Problem
from ...types import Response


def _get_kwargs(
    flavor: int,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/flavors/{flavor}".format(
            flavor=quote(str(flavor), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> FlavorView | Problem | None:
    if response.status_code == 200:
        response_200 = FlavorView.from_dict(response.json())

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
) -> Response[FlavorView | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
) -> Response[FlavorView | Problem]:
    """Get a flavor

     Get one flavor, also an archived one. Its `ETag` changes with each edit.

    The `ETag` is for `If-Match`. It does not change with the stock, so there is no 304.

    Args:
        flavor (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlavorView | Problem]
    """

    kwargs = _get_kwargs(
        flavor=flavor,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
) -> FlavorView | Problem | None:
    """Get a flavor

     Get one flavor, also an archived one. Its `ETag` changes with each edit.

    The `ETag` is for `If-Match`. It does not change with the stock, so there is no 304.

    Args:
        flavor (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlavorView | Problem
    """

    return sync_detailed(
        flavor=flavor,
        client=client,
    ).parsed


async def asyncio_detailed(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
) -> Response[FlavorView | Problem]:
    """Get a flavor

     Get one flavor, also an archived one. Its `ETag` changes with each edit.

    The `ETag` is for `If-Match`. It does not change with the stock, so there is no 304.

    Args:
        flavor (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlavorView | Problem]
    """

    kwargs = _get_kwargs(
        flavor=flavor,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
) -> FlavorView | Problem | None:
    """Get a flavor

     Get one flavor, also an archived one. Its `ETag` changes with each edit.

    The `ETag` is for `If-Match`. It does not change with the stock, so there is no 304.

    Args:
        flavor (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlavorView | Problem
    """

    return (
        await asyncio_detailed(
            flavor=flavor,
            client=client,
        )
    ).parsed
