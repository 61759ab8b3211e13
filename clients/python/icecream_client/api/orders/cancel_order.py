from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.order_detail import OrderDetail
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    order: int,
    *,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/orders/{order}/cancel".format(
            order=quote(str(order), safe=""),
        ),
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> OrderDetail | Problem | None:
    if response.status_code == 200:
        response_200 = OrderDetail.from_dict(response.json())

        return response_200

    if response.status_code == 202:
        response_202 = OrderDetail.from_dict(response.json())

        return response_202

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
) -> Response[OrderDetail | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> Response[OrderDetail | Problem]:
    """Cancel an order

     Cancel an order: the paid amount is refunded, and then the stock is released.

    200: the order is canceled. 202: it will be canceled when its payment or its refund has
    ended. Canceling a canceled order has no effect. An order that is packed, delivered or
    returned cannot be canceled: it can be refunded.

    Args:
        order (int):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[OrderDetail | Problem]
    """

    kwargs = _get_kwargs(
        order=order,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> OrderDetail | Problem | None:
    """Cancel an order

     Cancel an order: the paid amount is refunded, and then the stock is released.

    200: the order is canceled. 202: it will be canceled when its payment or its refund has
    ended. Canceling a canceled order has no effect. An order that is packed, delivered or
    returned cannot be canceled: it can be refunded.

    Args:
        order (int):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        OrderDetail | Problem
    """

    return sync_detailed(
        order=order,
        client=client,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> Response[OrderDetail | Problem]:
    """Cancel an order

     Cancel an order: the paid amount is refunded, and then the stock is released.

    200: the order is canceled. 202: it will be canceled when its payment or its refund has
    ended. Canceling a canceled order has no effect. An order that is packed, delivered or
    returned cannot be canceled: it can be refunded.

    Args:
        order (int):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[OrderDetail | Problem]
    """

    kwargs = _get_kwargs(
        order=order,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    idempotency_key: str | Unset = UNSET,
) -> OrderDetail | Problem | None:
    """Cancel an order

     Cancel an order: the paid amount is refunded, and then the stock is released.

    200: the order is canceled. 202: it will be canceled when its payment or its refund has
    ended. Canceling a canceled order has no effect. An order that is packed, delivered or
    returned cannot be canceled: it can be refunded.

    Args:
        order (int):
        idempotency_key (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        OrderDetail | Problem
    """

    return (
        await asyncio_detailed(
            order=order,
            client=client,
            idempotency_key=idempotency_key,
        )
    ).parsed
