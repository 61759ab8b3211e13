from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.new_refund import NewRefund
from ...models.order_detail import OrderDetail
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    order: int,
    *,
    body: NewRefund,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/orders/{order}/refund".format(
            order=quote(str(order), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> OrderDetail | Problem | None:
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
    body: NewRefund,
    idempotency_key: str | Unset = UNSET,
) -> Response[OrderDetail | Problem]:
    """Refund an order

     Refund part of the paid amount, some lines, or all that is left. For staff.

    Stock does not change unless `restock` puts the goods back. A `reason_code` says in one word
    what was wrong.

    A canceled order can be refunded if its refund failed after it had succeeded.

    Args:
        order (int):
        idempotency_key (str | Unset):
        body (NewRefund): The reason, and an `amount` in minor units, or `lines`; without both,
            all that is left.

            `restock` puts the goods of the lines back into the stock. Without lines, it puts all
            goods back
            that were not refunded, together with a refund of all that is left.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[OrderDetail | Problem]
    """

    kwargs = _get_kwargs(
        order=order,
        body=body,
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
    body: NewRefund,
    idempotency_key: str | Unset = UNSET,
) -> OrderDetail | Problem | None:
    """Refund an order

     Refund part of the paid amount, some lines, or all that is left. For staff.

    Stock does not change unless `restock` puts the goods back. A `reason_code` says in one word
    what was wrong.

    A canceled order can be refunded if its refund failed after it had succeeded.

    Args:
        order (int):
        idempotency_key (str | Unset):
        body (NewRefund): The reason, and an `amount` in minor units, or `lines`; without both,
            all that is left.

            `restock` puts the goods of the lines back into the stock. Without lines, it puts all
            goods back
            that were not refunded, together with a refund of all that is left.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        OrderDetail | Problem
    """

    return sync_detailed(
        order=order,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    body: NewRefund,
    idempotency_key: str | Unset = UNSET,
) -> Response[OrderDetail | Problem]:
    """Refund an order

     Refund part of the paid amount, some lines, or all that is left. For staff.

    Stock does not change unless `restock` puts the goods back. A `reason_code` says in one word
    what was wrong.

    A canceled order can be refunded if its refund failed after it had succeeded.

    Args:
        order (int):
        idempotency_key (str | Unset):
        body (NewRefund): The reason, and an `amount` in minor units, or `lines`; without both,
            all that is left.

            `restock` puts the goods of the lines back into the stock. Without lines, it puts all
            goods back
            that were not refunded, together with a refund of all that is left.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[OrderDetail | Problem]
    """

    kwargs = _get_kwargs(
        order=order,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    order: int,
    *,
    client: AuthenticatedClient | Client,
    body: NewRefund,
    idempotency_key: str | Unset = UNSET,
) -> OrderDetail | Problem | None:
    """Refund an order

     Refund part of the paid amount, some lines, or all that is left. For staff.

    Stock does not change unless `restock` puts the goods back. A `reason_code` says in one word
    what was wrong.

    A canceled order can be refunded if its refund failed after it had succeeded.

    Args:
        order (int):
        idempotency_key (str | Unset):
        body (NewRefund): The reason, and an `amount` in minor units, or `lines`; without both,
            all that is left.

            `restock` puts the goods of the lines back into the stock. Without lines, it puts all
            goods back
            that were not refunded, together with a refund of all that is left.

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
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
