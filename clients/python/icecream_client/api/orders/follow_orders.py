from http import HTTPStatus
from typing import Any

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...types import UNSET, Response, Unset


def _get_kwargs(
    *,
    after: int | Unset = UNSET,
    last_event_id_query: str | Unset = UNSET,
    last_event_id_header: str | Unset = UNSET,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}
    if not isinstance(last_event_id_header, Unset):
        headers["Last-Event-ID"] = last_event_id_header

    params: dict[str, Any] = {}

    params["after"] = after

    params["lastEventId"] = last_event_id_query

    params = {k: v for k, v in params.items() if v is not UNSET and v is not None}

    _kwargs: dict[str, Any] = {
        "method": "get",
        "url": "/api/events",
        "params": params,
    }

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | str | None:
    if response.status_code == 200:
        response_200 = response.text
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
) -> Response[Problem | str]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    *,
    client: AuthenticatedClient | Client,
    after: int | Unset = UNSET,
    last_event_id_query: str | Unset = UNSET,
    last_event_id_header: str | Unset = UNSET,
) -> Response[Problem | str]:
    """Follow the events of orders

     Live order events as server-sent events (`text/event-stream`).

    A customer gets the events of its own orders; staff get all events. `id` is the event's
    position in the sequence of all events. To continue after a disconnect, send the last
    `id` as `Last-Event-ID`: no event is missing or repeated. Without it, the stream begins with
    the next event. `event` is the type of the event (`HistoryEventType`). `data` is an object
    with `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total` and
    `currency`, and for some types `reason` and `amount`. After 15 seconds without events, the
    server sends a comment.

    The stream ends when your token expires, when you read too slowly, or when the server stops.

    Args:
        after (int | Unset):
        last_event_id_query (str | Unset):
        last_event_id_header (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        after=after,
        last_event_id_query=last_event_id_query,
        last_event_id_header=last_event_id_header,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    *,
    client: AuthenticatedClient | Client,
    after: int | Unset = UNSET,
    last_event_id_query: str | Unset = UNSET,
    last_event_id_header: str | Unset = UNSET,
) -> Problem | str | None:
    """Follow the events of orders

     Live order events as server-sent events (`text/event-stream`).

    A customer gets the events of its own orders; staff get all events. `id` is the event's
    position in the sequence of all events. To continue after a disconnect, send the last
    `id` as `Last-Event-ID`: no event is missing or repeated. Without it, the stream begins with
    the next event. `event` is the type of the event (`HistoryEventType`). `data` is an object
    with `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total` and
    `currency`, and for some types `reason` and `amount`. After 15 seconds without events, the
    server sends a comment.

    The stream ends when your token expires, when you read too slowly, or when the server stops.

    Args:
        after (int | Unset):
        last_event_id_query (str | Unset):
        last_event_id_header (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return sync_detailed(
        client=client,
        after=after,
        last_event_id_query=last_event_id_query,
        last_event_id_header=last_event_id_header,
    ).parsed


async def asyncio_detailed(
    *,
    client: AuthenticatedClient | Client,
    after: int | Unset = UNSET,
    last_event_id_query: str | Unset = UNSET,
    last_event_id_header: str | Unset = UNSET,
) -> Response[Problem | str]:
    """Follow the events of orders

     Live order events as server-sent events (`text/event-stream`).

    A customer gets the events of its own orders; staff get all events. `id` is the event's
    position in the sequence of all events. To continue after a disconnect, send the last
    `id` as `Last-Event-ID`: no event is missing or repeated. Without it, the stream begins with
    the next event. `event` is the type of the event (`HistoryEventType`). `data` is an object
    with `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total` and
    `currency`, and for some types `reason` and `amount`. After 15 seconds without events, the
    server sends a comment.

    The stream ends when your token expires, when you read too slowly, or when the server stops.

    Args:
        after (int | Unset):
        last_event_id_query (str | Unset):
        last_event_id_header (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | str]
    """

    kwargs = _get_kwargs(
        after=after,
        last_event_id_query=last_event_id_query,
        last_event_id_header=last_event_id_header,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    *,
    client: AuthenticatedClient | Client,
    after: int | Unset = UNSET,
    last_event_id_query: str | Unset = UNSET,
    last_event_id_header: str | Unset = UNSET,
) -> Problem | str | None:
    """Follow the events of orders

     Live order events as server-sent events (`text/event-stream`).

    A customer gets the events of its own orders; staff get all events. `id` is the event's
    position in the sequence of all events. To continue after a disconnect, send the last
    `id` as `Last-Event-ID`: no event is missing or repeated. Without it, the stream begins with
    the next event. `event` is the type of the event (`HistoryEventType`). `data` is an object
    with `order`, `seq`, `type`, `at`, `by`, `user`, `status` (after the event), `total` and
    `currency`, and for some types `reason` and `amount`. After 15 seconds without events, the
    server sends a comment.

    The stream ends when your token expires, when you read too slowly, or when the server stops.

    Args:
        after (int | Unset):
        last_event_id_query (str | Unset):
        last_event_id_header (str | Unset):

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | str
    """

    return (
        await asyncio_detailed(
            client=client,
            after=after,
            last_event_id_query=last_event_id_query,
            last_event_id_header=last_event_id_header,
        )
    ).parsed
