import datetime
from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.flavor_sales import FlavorSales
from ...models.interval import Interval
from ...models.order_status import OrderStatus
from ...models.problem import Problem
from ...models.report import Report
from ...models.time_zone_choice import TimeZoneChoice
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    status: OrderStatus | Unset = UNSET,
    interval: Interval | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> dict[str, Any]:

    params: dict[str, Any] = {}

    json_from_: str | Unset = UNSET
    if not isinstance(from_, Unset):
        json_from_ = from_.isoformat()
    params["from"] = json_from_

    json_to: str | Unset = UNSET
    if not isinstance(to, Unset):
        json_to = to.isoformat()
    params["to"] = json_to

    json_status: str | Unset = UNSET
    if not isinstance(status, Unset):
        json_status = status.value

    params["status"] = json_status

    json_interval: str | Unset = UNSET
    if not isinstance(interval, Unset):
        json_interval = interval.value

    params["interval"] = json_interval

    json_time_zone: str | Unset = UNSET
    if not isinstance(time_zone, Unset):
        json_time_zone = time_zone.value

    params["time_zone"] = json_time_zone

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/stats",
        "params": params,
    }

    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | list[FlavorSales] | Report | None:
    if response.status_code == 200:

        def _parse_response_200(data: object) -> list[FlavorSales] | Report:
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_sales_by_flavor_type_0 = []
                _componentsschemas_sales_by_flavor_type_0 = data
                for (
                    componentsschemas_sales_by_flavor_type_0_item_data
                ) in _componentsschemas_sales_by_flavor_type_0:
                    componentsschemas_sales_by_flavor_type_0_item = FlavorSales.from_dict(
                        componentsschemas_sales_by_flavor_type_0_item_data
                    )

                    componentsschemas_sales_by_flavor_type_0.append(
                        componentsschemas_sales_by_flavor_type_0_item
                    )

                return componentsschemas_sales_by_flavor_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            if not isinstance(data, dict):
                raise TypeError()
            componentsschemas_sales_by_flavor_type_1 = Report.from_dict(data)

            return componentsschemas_sales_by_flavor_type_1

        response_200 = _parse_response_200(response.json())

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
) -> Response[Problem | list[FlavorSales] | Report]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    status: OrderStatus | Unset = UNSET,
    interval: Interval | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Response[Problem | list[FlavorSales] | Report]:
    """Sales by flavor

     The ordered quantity of each flavor, over all orders of all customers, paid or not.

    For staff, with any of `from`, `to`, `status` and `interval`, the response is an object: the
    revenue and failures in total, by flavor and by period, the customers with the highest
    revenue, how many days the stock lasts, and the payment queue. As CSV it is one table.

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        status (OrderStatus | Unset):
        interval (Interval | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | list[FlavorSales] | Report]
    """

    kwargs = _get_kwargs(
        from_=from_,
        to=to,
        status=status,
        interval=interval,
        time_zone=time_zone,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    status: OrderStatus | Unset = UNSET,
    interval: Interval | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Problem | list[FlavorSales] | Report | None:
    """Sales by flavor

     The ordered quantity of each flavor, over all orders of all customers, paid or not.

    For staff, with any of `from`, `to`, `status` and `interval`, the response is an object: the
    revenue and failures in total, by flavor and by period, the customers with the highest
    revenue, how many days the stock lasts, and the payment queue. As CSV it is one table.

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        status (OrderStatus | Unset):
        interval (Interval | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | list[FlavorSales] | Report
    """

    return sync_detailed(
        client=client,
        from_=from_,
        to=to,
        status=status,
        interval=interval,
        time_zone=time_zone,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    status: OrderStatus | Unset = UNSET,
    interval: Interval | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Response[Problem | list[FlavorSales] | Report]:
    """Sales by flavor

     The ordered quantity of each flavor, over all orders of all customers, paid or not.

    For staff, with any of `from`, `to`, `status` and `interval`, the response is an object: the
    revenue and failures in total, by flavor and by period, the customers with the highest
    revenue, how many days the stock lasts, and the payment queue. As CSV it is one table.

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        status (OrderStatus | Unset):
        interval (Interval | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | list[FlavorSales] | Report]
    """

    kwargs = _get_kwargs(
        from_=from_,
        to=to,
        status=status,
        interval=interval,
        time_zone=time_zone,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    from_: datetime.date | Unset = UNSET,
    to: datetime.date | Unset = UNSET,
    status: OrderStatus | Unset = UNSET,
    interval: Interval | Unset = UNSET,
    time_zone: TimeZoneChoice | Unset = UNSET,
) -> Problem | list[FlavorSales] | Report | None:
    """Sales by flavor

     The ordered quantity of each flavor, over all orders of all customers, paid or not.

    For staff, with any of `from`, `to`, `status` and `interval`, the response is an object: the
    revenue and failures in total, by flavor and by period, the customers with the highest
    revenue, how many days the stock lasts, and the payment queue. As CSV it is one table.

    Args:
        from_ (datetime.date | Unset):
        to (datetime.date | Unset):
        status (OrderStatus | Unset):
        interval (Interval | Unset):
        time_zone (TimeZoneChoice | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | list[FlavorSales] | Report
    """

    return (
        await asyncio_detailed(
            client=client,
            from_=from_,
            to=to,
            status=status,
            interval=interval,
            time_zone=time_zone,
        )
    ).parsed
