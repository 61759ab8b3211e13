from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.flavor_view import FlavorView
from ...models.problem import Problem
from ...models.stock_receipt import StockReceipt
from ...types import UNSET, Response, Unset


def _get_kwargs(
    flavor: int,
    *,
    body: StockReceipt,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/flavors/{flavor}/stock".format(
            flavor=quote(str(flavor), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
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

    if response.status_code == 409:
        response_409 = Problem.from_dict(response.json())

        return response_409

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

    if response.status_code == 422:
        response_422 = Problem.from_dict(response.json())

        return response_422

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
    body: StockReceipt,
    idempotency_key: str | Unset = UNSET,
) -> Response[FlavorView | Problem]:
    """Receive stock

     Add a delivery to the stock of a flavor, or remove a loss with a negative `quantity`.

    For staff. If the stock was not counted before, counting starts now.

    Args:
        flavor (int):
        idempotency_key (str | Unset):
        body (StockReceipt): A delivery, or a loss with a negative `quantity`, and the reason for
            it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlavorView | Problem]
    """

    kwargs = _get_kwargs(
        flavor=flavor,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
    body: StockReceipt,
    idempotency_key: str | Unset = UNSET,
) -> FlavorView | Problem | None:
    """Receive stock

     Add a delivery to the stock of a flavor, or remove a loss with a negative `quantity`.

    For staff. If the stock was not counted before, counting starts now.

    Args:
        flavor (int):
        idempotency_key (str | Unset):
        body (StockReceipt): A delivery, or a loss with a negative `quantity`, and the reason for
            it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        FlavorView | Problem
    """

    return sync_detailed(
        flavor=flavor,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
    body: StockReceipt,
    idempotency_key: str | Unset = UNSET,
) -> Response[FlavorView | Problem]:
    """Receive stock

     Add a delivery to the stock of a flavor, or remove a loss with a negative `quantity`.

    For staff. If the stock was not counted before, counting starts now.

    Args:
        flavor (int):
        idempotency_key (str | Unset):
        body (StockReceipt): A delivery, or a loss with a negative `quantity`, and the reason for
            it.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[FlavorView | Problem]
    """

    kwargs = _get_kwargs(
        flavor=flavor,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    flavor: int,
    *,
    client: AuthenticatedClient | Client,
    body: StockReceipt,
    idempotency_key: str | Unset = UNSET,
) -> FlavorView | Problem | None:
    """Receive stock

     Add a delivery to the stock of a flavor, or remove a loss with a negative `quantity`.

    For staff. If the stock was not counted before, counting starts now.

    Args:
        flavor (int):
        idempotency_key (str | Unset):
        body (StockReceipt): A delivery, or a loss with a negative `quantity`, and the reason for
            it.

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
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
