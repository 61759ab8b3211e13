import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.dashboard import Dashboard
from ...models.period import Period
from ...models.problem import Problem
from ...models.time_zone_choice import TimeZoneChoice
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    period: Period | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_period: str | Unset = UNSET
    if not isinstance(period, Unset):
        json_period = period.value

    params["period"] = json_period

    json_from_: str | Unset = UNSET
    if not isinstance(from_, Unset):
        json_from_ = from_.isoformat()
    params["from"] = json_from_

    json_to: str | Unset = UNSET
    if not isinstance(to, Unset):
        json_to = to.isoformat()
    params["to"] = json_to

    json_time_zone: str | Unset = UNSET
    if not isinstance(time_zone, Unset):
        json_time_zone = time_zone.value

    params["time_zone"] = json_time_zone

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/dashboard",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Dashboard | Problem | None:
    if response.status_code == 200:
        response_200 = Dashboard.from_dict(response.json())

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
) -> Response[Dashboard | Problem]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    period: Period | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Response[Dashboard | Problem]:
    """Get the dashboard's figures

     All data of the dashboard, from one database snapshot. For staff.

    Sales of a `period`, or from one day (`from`) until before another (`to`), next to the days
    before; and the current state.

    Args:
        period (Period | Unset):
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Dashboard | Problem]
    """

    kwargs = _get_kwargs(
        period=period,
        from_=from_,
        to=to,
        time_zone=time_zone,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    period: Period | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Dashboard | Problem | None:
    """Get the dashboard's figures

     All data of the dashboard, from one database snapshot. For staff.

    Sales of a `period`, or from one day (`from`) until before another (`to`), next to the days
    before; and the current state.

    Args:
        period (Period | Unset):
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Dashboard | Problem
    """

    return sync_detailed(
        client=client,
        period=period,
        from_=from_,
        to=to,
        time_zone=time_zone,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    period: Period | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Response[Dashboard | Problem]:
    """Get the dashboard's figures

     All data of the dashboard, from one database snapshot. For staff.

    Sales of a `period`, or from one day (`from`) until before another (`to`), next to the days
    before; and the current state.

    Args:
        period (Period | Unset):
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Dashboard | Problem]
    """

    kwargs = _get_kwargs(
        period=period,
        from_=from_,
        to=to,
        time_zone=time_zone,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    period: Period | Unset = UNSET,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Dashboard | Problem | None:
    """Get the dashboard's figures

     All data of the dashboard, from one database snapshot. For staff.

    Sales of a `period`, or from one day (`from`) until before another (`to`), next to the days
    before; and the current state.

    Args:
        period (Period | Unset):
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Dashboard | Problem
    """

    return (
        await asyncio_detailed(
            client=client,
            period=period,
            from_=from_,
            to=to,
            time_zone=time_zone,
        )
    ).parsed
