from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.payment_view import PaymentView
from ...models.problem import Problem
from ...types import Response


def _get_kwargs(
    payment: int,
) -> dict[str, Any]:

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/payments/{payment}".format(
            payment=quote(str(payment), safe=""),
        ),
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PaymentView | Problem | None:
    if response.status_code == 200:
        response_200 = PaymentView.from_dict(response.json())

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
) -> Response[PaymentView | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
) -> Response[PaymentView | Problem]:
    """Get a payment

     Get one payment, with the possible decisions. For staff.

    Args:
        payment (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaymentView | Problem]
    """

    kwargs = _get_kwargs(
        payment=payment,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
) -> PaymentView | Problem | None:
    """Get a payment

     Get one payment, with the possible decisions. For staff.

    Args:
        payment (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PaymentView | Problem
    """

    return sync_detailed(
        payment=payment,
        client=client,
    ).parsed


async def asyncio_detailed(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
) -> Response[PaymentView | Problem]:
    """Get a payment

     Get one payment, with the possible decisions. For staff.

    Args:
        payment (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaymentView | Problem]
    """

    kwargs = _get_kwargs(
        payment=payment,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
) -> PaymentView | Problem | None:
    """Get a payment

     Get one payment, with the possible decisions. For staff.

    Args:
        payment (int):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PaymentView | Problem
    """

    return (
        await asyncio_detailed(
            payment=payment,
            client=client,
        )
    ).parsed
