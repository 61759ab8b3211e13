"""Webhook endpoints over HTTP: each account manages its own."""

from litestar import Controller, delete, get, patch, post
from litestar.params import JSONBody

from icecream import errors
from icecream.http import bodies, openapi
from icecream.webhooks import endpoint_types, endpoints

NOT_PUBLIC = errors.ValidationFailed("/url", "invalid", "url must begin with https://.")


class WebhookEndpoints(Controller):
    """The handlers of webhook endpoints."""

    path = "/api/webhooks"
    tags = ["Webhooks"]
    guards = [bodies.require_exact_ids]

    @get(
        "/",
        **openapi.operation(
            "listWebhooks",
            "List your webhook endpoints",
            list[endpoint_types.WebhookEndpointView],
            [endpoint_types.EXAMPLE],
        ),
    )
    async def list_endpoints(
        self, request: bodies.ApiRequest
    ) -> list[endpoint_types.WebhookEndpointView]:
        """List your webhook endpoints, the oldest first."""
        return await endpoints.list_endpoints(request.user.id)

    @post(
        "/",
        **openapi.operation(
            "createWebhook",
            "Create a webhook endpoint",
            endpoint_types.NewWebhookEndpointView,
            endpoint_types.EXAMPLE | {"secret": endpoint_types.EXAMPLE_SECRET["secret"]},
            *openapi.BODY_REFUSALS,
            NOT_PUBLIC,
            errors.TooManyWebhooks(endpoints.MAX_ENDPOINTS_PER_USER),
            status=201,
        ),
    )
    async def create_endpoint(
        self, request: bodies.ApiRequest, data: JSONBody[endpoint_types.NewWebhookEndpoint]
    ) -> endpoint_types.NewWebhookEndpointView:
        """Have events sent to your URL, signed as in Standard Webhooks 1.0.0.

        A customer gets the events of its own orders; staff get all events. The `secret` is shown
        only in this response. The URL must be public and begin with `https://`.
        """
        return await endpoints.create_endpoint(data, user=request.user.id)

    @get(
        "/{endpoint:int}",
        **openapi.operation(
            "getWebhook",
            "Get a webhook endpoint",
            endpoint_types.WebhookEndpointView,
            endpoint_types.EXAMPLE,
            errors.NotFound(),
        ),
    )
    async def get_endpoint(
        self, request: bodies.ApiRequest, endpoint: bodies.PathId
    ) -> endpoint_types.WebhookEndpointView:
        """Get one of your webhook endpoints."""
        return await endpoints.get_endpoint(endpoint, user=request.user.id)

    @patch(
        "/{endpoint:int}",
        **openapi.operation(
            "editWebhook",
            "Edit a webhook endpoint",
            endpoint_types.WebhookEndpointView,
            endpoint_types.EXAMPLE,
            errors.NotFound(),
            *openapi.BODY_REFUSALS,
            NOT_PUBLIC,
        ),
    )
    async def edit_endpoint(
        self,
        request: bodies.ApiRequest,
        endpoint: bodies.PathId,
        data: JSONBody[endpoint_types.WebhookEndpointEdit],
    ) -> endpoint_types.WebhookEndpointView:
        """Change the URL or the types of events, or disable or enable an endpoint.

        Messages that were pending are sent after an endpoint is enabled. Events that happened while
        it was disabled are not: replay that period.
        """
        user = request.user.id
        return await endpoints.edit_endpoint(endpoint, data, user=user, by=user)

    @delete(
        "/{endpoint:int}",
        **openapi.operation(
            "deleteWebhook", "Delete a webhook endpoint", None, None, errors.NotFound(), status=204
        ),
    )
    async def delete_endpoint(self, request: bodies.ApiRequest, endpoint: bodies.PathId) -> None:
        """Delete one of your webhook endpoints, with its messages."""
        user = request.user.id
        await endpoints.delete_endpoint(endpoint, user=user, by=user)

    @post(
        "/{endpoint:int}/rotate",
        **openapi.operation(
            "rotateWebhookSecret",
            "Replace the secret of a webhook endpoint",
            endpoint_types.WebhookSecretView,
            endpoint_types.EXAMPLE_SECRET,
            errors.NotFound(),
            *openapi.BODY_REFUSALS,
        ),
    )
    async def rotate_secret(
        self,
        request: bodies.ApiRequest,
        endpoint: bodies.PathId,
        data: JSONBody[endpoint_types.SecretRotation],
    ) -> endpoint_types.WebhookSecretView:
        """Replace the secret. It is shown only in this response.

        For `overlap_hours`, messages have two signatures: one with the new secret, and one with the
        old secret.
        """
        user = request.user.id
        return await endpoints.rotate_secret(endpoint, data.overlap_hours, user=user, by=user)
