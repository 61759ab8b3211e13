"""The list of a user's webhook endpoints, and a new endpoint."""

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery

from icecream import conversion, errors
from icecream.pages import access, forms, once, rendering
from icecream.webhook_pages.http import endpoint_page
from icecream.webhooks import endpoint_types, endpoints, messages

LABELS = {"url": "The URL", "description": "The description"}


async def _list_page(
    visitor: access.Visitor,
    *,
    message: str = "",
    sent: Mapping[str, Any] | None = None,
    refusal: errors.Refusal | None = None,
) -> Response[str]:
    page = rendering.render(
        "webhook_pages/endpoints.html",
        frame=endpoint_page.frame_of(visitor),
        visitor=visitor,
        endpoints=await endpoints.list_endpoints(visitor.user.id),
        types=messages.EVENT_TYPES,
        new_key=once.new_key,
        message=message,
        sent=sent or {},
        alarm="" if refusal is None else forms.explain(refusal.detail, LABELS),
    )
    return rendering.html_response(page, 200 if refusal is None else refusal.status)


@get("/")
async def list_endpoints(visitor: access.SignedIn, done: FromQuery[str] = "") -> Response[str]:
    """Return the list; `done` is the key of the last form."""
    return await _list_page(visitor, message=await once.read_message(visitor, done))


@post("/")
async def add_endpoint(
    request: access.Call, visitor: access.SignedIn, state: State
) -> Response[Any]:
    """Add an endpoint, and show its page with the secret, which is not shown again."""
    sent = await forms.read_own_fields(request, visitor)

    async def work() -> tuple[str, list[int]]:
        values = {name: str(sent.get(name, "")).strip() for name in LABELS}
        types = [one for one in messages.EVENT_TYPES if sent.get(one)] or None
        new = conversion.convert_body(values | {"types": types}, endpoint_types.NewWebhookEndpoint)
        return str((await endpoints.create_endpoint(new, user=visitor.user.id)).id), []

    try:
        key = await once.carry_out(
            work, path=endpoint_page.PATH, fields=sent, visitor=visitor, state=state
        )
    except (errors.ValidationFailed, errors.TooManyWebhooks) as refusal:
        return await _list_page(visitor, sent=sent, refusal=refusal)
    return await endpoint_page.show_secret(visitor, int(await once.read_message(visitor, key)))


HANDLERS = (list_endpoints, add_endpoint)
