from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.payment_view import PaymentView
from ...models.problem import Problem
from ...models.why import Why
from ...types import UNSET, Response, Unset


def _get_kwargs(
    payment: int,
    *,
    body: Why,
    idempotency_key: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(idempotency_key, Unset):
        headers["Idempotency-Key"] = idempotency_key

    _kwargs: dict[str, Any] = {
        "method": "post",
        "url": "/api/payments/{payment}/book".format(
            payment=quote(str(payment), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
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
    body: Why,
    idempotency_key: str | Unset = UNSET,
) -> Response[PaymentView | Problem]:
    """Book a parked refund

     Accept a parked refund of another amount than requested. For staff.

    The amount that it `moved` is added to the order's `refunded`. If money is left, the order
    becomes `paid`, and the rest can be refunded. If the order is being canceled, the rest is
    refunded at once.

    Args:
        payment (int):
        idempotency_key (str | Unset):
        body (Why): The reason for a decision, and a note; both are stored in the order's history.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaymentView | Problem]
    """

    kwargs = _get_kwargs(
        payment=payment,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
    body: Why,
    idempotency_key: str | Unset = UNSET,
) -> PaymentView | Problem | None:
    """Book a parked refund

     Accept a parked refund of another amount than requested. For staff.

    The amount that it `moved` is added to the order's `refunded`. If money is left, the order
    becomes `paid`, and the rest can be refunded. If the order is being canceled, the rest is
    refunded at once.

    Args:
        payment (int):
        idempotency_key (str | Unset):
        body (Why): The reason for a decision, and a note; both are stored in the order's history.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PaymentView | Problem
    """

    return sync_detailed(
        payment=payment,
        client=client,
        body=body,
        idempotency_key=idempotency_key,
    ).parsed


async def asyncio_detailed(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
    body: Why,
    idempotency_key: str | Unset = UNSET,
) -> Response[PaymentView | Problem]:
    """Book a parked refund

     Accept a parked refund of another amount than requested. For staff.

    The amount that it `moved` is added to the order's `refunded`. If money is left, the order
    becomes `paid`, and the rest can be refunded. If the order is being canceled, the rest is
    refunded at once.

    Args:
        payment (int):
        idempotency_key (str | Unset):
        body (Why): The reason for a decision, and a note; both are stored in the order's history.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PaymentView | Problem]
    """

    kwargs = _get_kwargs(
        payment=payment,
        body=body,
        idempotency_key=idempotency_key,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    payment: int,
    *,
    client: AuthenticatedClient | Client,
    body: Why,
    idempotency_key: str | Unset = UNSET,
) -> PaymentView | Problem | None:
    """Book a parked refund

     Accept a parked refund of another amount than requested. For staff.

    The amount that it `moved` is added to the order's `refunded`. If money is left, the order
    becomes `paid`, and the rest can be refunded. If the order is being canceled, the rest is
    refunded at once.

    Args:
        payment (int):
        idempotency_key (str | Unset):
        body (Why): The reason for a decision, and a note; both are stored in the order's history.

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
            body=body,
            idempotency_key=idempotency_key,
        )
    ).parsed
