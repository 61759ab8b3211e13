import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.packing_list_view import PackingListView
from ...models.packing_table import PackingTable
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    date: datetime.date | Unset = UNSET,
    placed_from: datetime.date | Unset = UNSET,
    table: PackingTable | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_date: str | Unset = UNSET
    if not isinstance(date, Unset):
        json_date = date.isoformat()
    params["date"] = json_date

    json_placed_from: str | Unset = UNSET
    if not isinstance(placed_from, Unset):
        json_placed_from = placed_from.isoformat()
    params["placed_from"] = json_placed_from

    json_table: str | Unset = UNSET
    if not isinstance(table, Unset):
        json_table = table.value

    params["table"] = json_table

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/packing-list",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> PackingListView | Problem | None:
    if response.status_code == 200:
        response_200 = PackingListView.from_dict(response.json())

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
) -> Response[PackingListView | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    date: datetime.date | Unset = UNSET,
    placed_from: datetime.date | Unset = UNSET,
    table: PackingTable | Unset = UNSET,
) -> Response[PackingListView | Problem]:
    """Get a packing list

     What has to leave the store on a day, by flavor and by customer. For staff.

    The list has the paid orders with this delivery date that are not delivered, packed or not,
    without quantities that were refunded. As CSV it is one table.

    Args:
        date (datetime.date | Unset):
        placed_from (datetime.date | Unset):
        table (PackingTable | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PackingListView | Problem]
    """

    kwargs = _get_kwargs(
        date=date,
        placed_from=placed_from,
        table=table,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    date: datetime.date | Unset = UNSET,
    placed_from: datetime.date | Unset = UNSET,
    table: PackingTable | Unset = UNSET,
) -> PackingListView | Problem | None:
    """Get a packing list

     What has to leave the store on a day, by flavor and by customer. For staff.

    The list has the paid orders with this delivery date that are not delivered, packed or not,
    without quantities that were refunded. As CSV it is one table.

    Args:
        date (datetime.date | Unset):
        placed_from (datetime.date | Unset):
        table (PackingTable | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PackingListView | Problem
    """

    return sync_detailed(
        client=client,
        date=date,
        placed_from=placed_from,
        table=table,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    date: datetime.date | Unset = UNSET,
    placed_from: datetime.date | Unset = UNSET,
    table: PackingTable | Unset = UNSET,
) -> Response[PackingListView | Problem]:
    """Get a packing list

     What has to leave the store on a day, by flavor and by customer. For staff.

    The list has the paid orders with this delivery date that are not delivered, packed or not,
    without quantities that were refunded. As CSV it is one table.

    Args:
        date (datetime.date | Unset):
        placed_from (datetime.date | Unset):
        table (PackingTable | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[PackingListView | Problem]
    """

    kwargs = _get_kwargs(
        date=date,
        placed_from=placed_from,
        table=table,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    date: datetime.date | Unset = UNSET,
    placed_from: datetime.date | Unset = UNSET,
    table: PackingTable | Unset = UNSET,
) -> PackingListView | Problem | None:
    """Get a packing list

     What has to leave the store on a day, by flavor and by customer. For staff.

    The list has the paid orders with this delivery date that are not delivered, packed or not,
    without quantities that were refunded. As CSV it is one table.

    Args:
        date (datetime.date | Unset):
        placed_from (datetime.date | Unset):
        table (PackingTable | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        PackingListView | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            date=date,
            placed_from=placed_from,
            table=table,
        )
    ).parsed
