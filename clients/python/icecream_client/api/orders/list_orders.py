import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.fulfilment_state import FulfilmentState
from ...models.order_sort import OrderSort
from ...models.order_status import OrderStatus
from ...models.order_view import OrderView
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    status: list[OrderStatus] | Unset = UNSET,
    created_from: datetime.datetime | Unset = UNSET,
    created_to: datetime.datetime | Unset = UNSET,
    updated_from: datetime.datetime | Unset = UNSET,
    flavor: int | Unset = UNSET,
    reference: str | Unset = UNSET,
    delivery_date: datetime.date | Unset = UNSET,
    fulfilment: list[FulfilmentState] | Unset = UNSET,
    user: str | Unset = UNSET,
    sort: OrderSort | Unset = UNSET,
    limit: int | Unset = UNSET,
    after: str | Unset = UNSET,
    count: bool | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_status: list[str] | Unset = UNSET
    if not isinstance(status, Unset):
        json_status = []
        for status_item_data in status:
            status_item = status_item_data.value
            json_status.append(status_item)

    params["status"] = json_status

    json_created_from: str | Unset = UNSET
    if not isinstance(created_from, Unset):
        json_created_from = created_from.isoformat()
    params["created_from"] = json_created_from

    json_created_to: str | Unset = UNSET
    if not isinstance(created_to, Unset):
        json_created_to = created_to.isoformat()
    params["created_to"] = json_created_to

    json_updated_from: str | Unset = UNSET
    if not isinstance(updated_from, Unset):
        json_updated_from = updated_from.isoformat()
    params["updated_from"] = json_updated_from

    params["flavor"] = flavor

    params["reference"] = reference

    json_delivery_date: str | Unset = UNSET
    if not isinstance(delivery_date, Unset):
        json_delivery_date = delivery_date.isoformat()
    params["delivery_date"] = json_delivery_date

    json_fulfilment: list[str] | Unset = UNSET
    if not isinstance(fulfilment, Unset):
        json_fulfilment = []
        for fulfilment_item_data in fulfilment:
            fulfilment_item = fulfilment_item_data.value
            json_fulfilment.append(fulfilment_item)

    params["fulfilment"] = json_fulfilment

    params["user"] = user

    json_sort: str | Unset = UNSET
    if not isinstance(sort, Unset):
        json_sort = sort.value

    params["sort"] = json_sort

    params["limit"] = limit

    params["after"] = after

    params["count"] = count

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/orders",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | list[OrderView] | None:
    if response.status_code == 200:
        response_200 = []
        _response_200 = response.json()
        for response_200_item_data in _response_200:
            response_200_item = OrderView.from_dict(response_200_item_data)

            response_200.append(response_200_item)

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
) -> Response[Problem | list[OrderView]]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    status: list[OrderStatus] | Unset = UNSET,
    created_from: datetime.datetime | Unset = UNSET,
    created_to: datetime.datetime | Unset = UNSET,
    updated_from: datetime.datetime | Unset = UNSET,
    flavor: int | Unset = UNSET,
    reference: str | Unset = UNSET,
    delivery_date: datetime.date | Unset = UNSET,
    fulfilment: list[FulfilmentState] | Unset = UNSET,
    user: str | Unset = UNSET,
    sort: OrderSort | Unset = UNSET,
    limit: int | Unset = UNSET,
    after: str | Unset = UNSET,
    count: bool | Unset = UNSET,
) -> Response[Problem | list[OrderView]]:
    """List your orders

     List your orders, oldest first: all of them, or one page with `limit`.

    `/api/orders/` and `/api/my-orders/` return the same.

    Args:
        status (list[OrderStatus] | Unset):
        created_from (datetime.datetime | Unset):
        created_to (datetime.datetime | Unset):
        updated_from (datetime.datetime | Unset):
        flavor (int | Unset):
        reference (str | Unset):
        delivery_date (datetime.date | Unset):
        fulfilment (list[FulfilmentState] | Unset):
        user (str | Unset):
        sort (OrderSort | Unset):
        limit (int | Unset):
        after (str | Unset):
        count (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | list[OrderView]]
    """

    kwargs = _get_kwargs(
        status=status,
        created_from=created_from,
        created_to=created_to,
        updated_from=updated_from,
        flavor=flavor,
        reference=reference,
        delivery_date=delivery_date,
        fulfilment=fulfilment,
        user=user,
        sort=sort,
        limit=limit,
        after=after,
        count=count,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    status: list[OrderStatus] | Unset = UNSET,
    created_from: datetime.datetime | Unset = UNSET,
    created_to: datetime.datetime | Unset = UNSET,
    updated_from: datetime.datetime | Unset = UNSET,
    flavor: int | Unset = UNSET,
    reference: str | Unset = UNSET,
    delivery_date: datetime.date | Unset = UNSET,
    fulfilment: list[FulfilmentState] | Unset = UNSET,
    user: str | Unset = UNSET,
    sort: OrderSort | Unset = UNSET,
    limit: int | Unset = UNSET,
    after: str | Unset = UNSET,
    count: bool | Unset = UNSET,
) -> Problem | list[OrderView] | None:
    """List your orders

     List your orders, oldest first: all of them, or one page with `limit`.

    `/api/orders/` and `/api/my-orders/` return the same.

    Args:
        status (list[OrderStatus] | Unset):
        created_from (datetime.datetime | Unset):
        created_to (datetime.datetime | Unset):
        updated_from (datetime.datetime | Unset):
        flavor (int | Unset):
        reference (str | Unset):
        delivery_date (datetime.date | Unset):
        fulfilment (list[FulfilmentState] | Unset):
        user (str | Unset):
        sort (OrderSort | Unset):
        limit (int | Unset):
        after (str | Unset):
        count (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | list[OrderView]
    """

    return sync_detailed(
        client=client,
        status=status,
        created_from=created_from,
        created_to=created_to,
        updated_from=updated_from,
        flavor=flavor,
        reference=reference,
        delivery_date=delivery_date,
        fulfilment=fulfilment,
        user=user,
        sort=sort,
        limit=limit,
        after=after,
        count=count,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    status: list[OrderStatus] | Unset = UNSET,
    created_from: datetime.datetime | Unset = UNSET,
    created_to: datetime.datetime | Unset = UNSET,
    updated_from: datetime.datetime | Unset = UNSET,
    flavor: int | Unset = UNSET,
    reference: str | Unset = UNSET,
    delivery_date: datetime.date | Unset = UNSET,
    fulfilment: list[FulfilmentState] | Unset = UNSET,
    user: str | Unset = UNSET,
    sort: OrderSort | Unset = UNSET,
    limit: int | Unset = UNSET,
    after: str | Unset = UNSET,
    count: bool | Unset = UNSET,
) -> Response[Problem | list[OrderView]]:
    """List your orders

     List your orders, oldest first: all of them, or one page with `limit`.

    `/api/orders/` and `/api/my-orders/` return the same.

    Args:
        status (list[OrderStatus] | Unset):
        created_from (datetime.datetime | Unset):
        created_to (datetime.datetime | Unset):
        updated_from (datetime.datetime | Unset):
        flavor (int | Unset):
        reference (str | Unset):
        delivery_date (datetime.date | Unset):
        fulfilment (list[FulfilmentState] | Unset):
        user (str | Unset):
        sort (OrderSort | Unset):
        limit (int | Unset):
        after (str | Unset):
        count (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | list[OrderView]]
    """

    kwargs = _get_kwargs(
        status=status,
        created_from=created_from,
        created_to=created_to,
        updated_from=updated_from,
        flavor=flavor,
        reference=reference,
        delivery_date=delivery_date,
        fulfilment=fulfilment,
        user=user,
        sort=sort,
        limit=limit,
        after=after,
        count=count,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    status: list[OrderStatus] | Unset = UNSET,
    created_from: datetime.datetime | Unset = UNSET,
    created_to: datetime.datetime | Unset = UNSET,
    updated_from: datetime.datetime | Unset = UNSET,
    flavor: int | Unset = UNSET,
    reference: str | Unset = UNSET,
    delivery_date: datetime.date | Unset = UNSET,
    fulfilment: list[FulfilmentState] | Unset = UNSET,
    user: str | Unset = UNSET,
    sort: OrderSort | Unset = UNSET,
    limit: int | Unset = UNSET,
    after: str | Unset = UNSET,
    count: bool | Unset = UNSET,
) -> Problem | list[OrderView] | None:
    """List your orders

     List your orders, oldest first: all of them, or one page with `limit`.

    `/api/orders/` and `/api/my-orders/` return the same.

    Args:
        status (list[OrderStatus] | Unset):
        created_from (datetime.datetime | Unset):
        created_to (datetime.datetime | Unset):
        updated_from (datetime.datetime | Unset):
        flavor (int | Unset):
        reference (str | Unset):
        delivery_date (datetime.date | Unset):
        fulfilment (list[FulfilmentState] | Unset):
        user (str | Unset):
        sort (OrderSort | Unset):
        limit (int | Unset):
        after (str | Unset):
        count (bool | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | list[OrderView]
    """

    return (
        await asyncio_detailed(
            client=client,
            status=status,
            created_from=created_from,
            created_to=created_to,
            updated_from=updated_from,
            flavor=flavor,
            reference=reference,
            delivery_date=delivery_date,
            fulfilment=fulfilment,
            user=user,
            sort=sort,
            limit=limit,
            after=after,
            count=count,
        )
    ).parsed
