from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import httpx

from ... import errors
from ...client import AuthenticatedClient, Client
from ...models.problem import Problem
from ...models.webhook_endpoint_edit import WebhookEndpointEdit
from ...models.webhook_endpoint_view import WebhookEndpointView
from ...types import Response


def _get_kwargs(
    endpoint: int,
    *,
    body: WebhookEndpointEdit,
) -> dict[str, Any]:
    headers: dict[str, Any] = {}

    _kwargs: dict[str, Any] = {
        "method": "patch",
        "url": "/api/webhooks/{endpoint}".format(
            endpoint=quote(str(endpoint), safe=""),
        ),
    }

    _kwargs["json"] = body.to_dict()

    headers["Content-Type"] = "application/json"

    _kwargs["headers"] = headers
    return _kwargs


def _parse_response(
    *, client: AuthenticatedClient | Client, response: httpx.Response
) -> Problem | WebhookEndpointView | None:
    if response.status_code == 200:
        response_200 = WebhookEndpointView.from_dict(response.json())

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

    if response.status_code == 413:
        response_413 = Problem.from_dict(response.json())

        return response_413

    if response.status_code == 415:
        response_415 = Problem.from_dict(response.json())

        return response_415

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
) -> Response[Problem | WebhookEndpointView]:
    return Response(
        status_code=HTTPStatus(response.status_code),
        content=response.content,
        headers=response.headers,
        parsed=_parse_response(client=client, response=response),
    )


def sync_detailed(
    endpoint: int,
    *,
    client: AuthenticatedClient | Client,
    body: WebhookEndpointEdit,
) -> Response[Problem | WebhookEndpointView]:
    """Edit a webhook endpoint

     Change the URL or the types of events, or disable or enable an endpoint.

    Messages that were pending are sent after an endpoint is enabled. Events that happened while
    it was disabled are not: replay that period.

    Args:
        endpoint (int):
        body (WebhookEndpointEdit): The fields to change. An endpoint that was disabled after
            failures can be enabled again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WebhookEndpointView]
    """

    kwargs = _get_kwargs(
        endpoint=endpoint,
        body=body,
    )

    response = client.get_httpx_client().request(
        **kwargs,
    )

    return _build_response(client=client, response=response)


def sync(
    endpoint: int,
    *,
    client: AuthenticatedClient | Client,
    body: WebhookEndpointEdit,
) -> Problem | WebhookEndpointView | None:
    """Edit a webhook endpoint

     Change the URL or the types of events, or disable or enable an endpoint.

    Messages that were pending are sent after an endpoint is enabled. Events that happened while
    it was disabled are not: replay that period.

    Args:
        endpoint (int):
        body (WebhookEndpointEdit): The fields to change. An endpoint that was disabled after
            failures can be enabled again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WebhookEndpointView
    """

    return sync_detailed(
        endpoint=endpoint,
        client=client,
        body=body,
    ).parsed


async def asyncio_detailed(
    endpoint: int,
    *,
    client: AuthenticatedClient | Client,
    body: WebhookEndpointEdit,
) -> Response[Problem | WebhookEndpointView]:
    """Edit a webhook endpoint

     Change the URL or the types of events, or disable or enable an endpoint.

    Messages that were pending are sent after an endpoint is enabled. Events that happened while
    it was disabled are not: replay that period.

    Args:
        endpoint (int):
        body (WebhookEndpointEdit): The fields to change. An endpoint that was disabled after
            failures can be enabled again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Response[Problem | WebhookEndpointView]
    """

    kwargs = _get_kwargs(
        endpoint=endpoint,
        body=body,
    )

    response = await client.get_async_httpx_client().request(**kwargs)

    return _build_response(client=client, response=response)


async def asyncio(
    endpoint: int,
    *,
    client: AuthenticatedClient | Client,
    body: WebhookEndpointEdit,
) -> Problem | WebhookEndpointView | None:
    """Edit a webhook endpoint

     Change the URL or the types of events, or disable or enable an endpoint.

    Messages that were pending are sent after an endpoint is enabled. Events that happened while
    it was disabled are not: replay that period.

    Args:
        endpoint (int):
        body (WebhookEndpointEdit): The fields to change. An endpoint that was disabled after
            failures can be enabled again.

    Raises:
        errors.UnexpectedStatus: If the server returns an undocumented status code and Client.raise_on_unexpected_status is True.
        httpx.TimeoutException: If the request takes longer than Client.timeout.

    Returns:
        Problem | WebhookEndpointView
    """

    return (
        await asyncio_detailed(
            endpoint=endpoint,
            client=client,
            body=body,
        )
    ).parsed
