"""The log of deliveries over HTTP, test messages, and replays."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.params import JSONBody, QueryParameter
from litestar.types import ASGIApp

from icecream import errors, tables
from icecream.http import bodies, openapi, pagination
from icecream.webhooks import deliveries, endpoints, replaying

SORT = "-id"
NOT_READY = (errors.NotFound(), errors.WebhookDisabled(), errors.TooManyDeliveries())


class WebhookDeliveries(Controller):
    """The handlers of deliveries."""

    path = "/api/webhooks/{endpoint:int}"
    tags = ["Webhooks"]
    guards = [bodies.require_exact_ids]

    @get(
        "/deliveries",
        **openapi.operation(
            "listWebhookDeliveries",
            "List the messages to a webhook endpoint",
            list[deliveries.WebhookDeliveryView],
            [deliveries.EXAMPLE],
            errors.NotFound(),
            pagination.INVALID_CURSOR,
        ),
    )
    async def list_deliveries(
        self,
        request: bodies.ApiRequest,
        endpoint: bodies.PathId,
        state_: Annotated[
            str | None,
            QueryParameter(
                name="state",
                schema_extra={"title": "DeliveryState", "enum": list(tables.DELIVERY_STATES)},
                description="Only messages in this state.",
            ),
        ] = None,
        limit: pagination.Limit = None,
        after: pagination.After = None,
    ) -> ASGIApp:
        """List the messages of the last 30 days, the newest first, each with its last answer."""
        pagination.parse_choice("state", state_, tables.DELIVERY_STATES)
        user = request.user
        await endpoints.get_endpoint(endpoint, user=user.id)
        # A former member of staff, or a key without the scope staff, sees its own orders only.
        customer = None if user.admin else user.id

        async def read(start: pagination.Cursor | None, most: int) -> pagination.Page:
            before = start.id if start else None
            rows = await deliveries.list_deliveries(
                endpoint, state=state_, before=before, limit=most + 1, customer=customer
            )
            return pagination.encode_page(rows, most, SORT)

        return await pagination.list_response(request, read, sort=SORT, limit=limit, after=after)

    @post(
        "/test",
        **openapi.operation(
            "testWebhook",
            "Send a test message to a webhook endpoint",
            deliveries.WebhookDeliveryView,
            deliveries.EXAMPLE | {"type": "webhook.test", "state": "pending", "tries": 0},
            *NOT_READY,
            status=202,
        ),
    )
    async def send_test(
        self, request: bodies.ApiRequest, endpoint: bodies.PathId
    ) -> deliveries.WebhookDeliveryView:
        """Queue a message of the type `webhook.test`; the log of deliveries shows the answer."""
        return await deliveries.send_test(endpoint, user=request.user.id)

    @post(
        "/replay",
        **openapi.operation(
            "replayWebhook",
            "Send messages to a webhook endpoint again",
            replaying.WebhookReplayView,
            {"queued": 1},
            *NOT_READY,
            *openapi.BODY_REFUSALS,
            errors.ValidationFailed("/since", "invalid", replaying.TOO_LONG),
            status=202,
        ),
    )
    async def replay(
        self,
        request: bodies.ApiRequest,
        endpoint: bodies.PathId,
        data: JSONBody[replaying.WebhookReplay],
    ) -> replaying.WebhookReplayView:
        """Send one message again, or all events of a period, also those that were never sent.

        A message about an event always has the same `webhook-id`.
        """
        user = request.user.id
        return await replaying.replay(endpoint, data, user=user, by=user)
