"""The page of a webhook endpoint: its state, its messages, and what can be done."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from litestar import Response, get, post
from litestar.datastructures import State
from litestar.params import FromQuery, QueryParameter

from icecream import conversion, errors, fields, settings, tables
from icecream.http import bodies, pagination
from icecream.pages import access, forms, once, rendering
from icecream.webhooks import deliveries, endpoint_types, endpoints, replaying

PATH = "/webhooks/"
MESSAGES_PER_PAGE = 30
# The hidden field with the name of the step.
STEP_FIELD = "step"
LABELS = {"since": "The start", "until": "The end", "overlap_hours": "The number of hours"}
# Carries a step out with the fields of its form, for a user, and returns what it did.
Step = Callable[[int, Mapping[str, Any], int], Awaitable[str]]


def frame_of(visitor: access.Visitor) -> str:
    """Return the template with the links of this user's other pages."""
    return "pages/layout.html" if visitor.user.admin else "shop/layout.html"


async def _page(
    visitor: access.Visitor,
    endpoint: int,
    *,
    state: str = "",
    before: int | None = None,
    message: str = "",
    alarm: str = "",
    secret: str = "",
    status: int = 200,
) -> Response[str]:
    """Return the page of an endpoint of this user.

    Raises:
        errors.NotFound: there is no such endpoint.
    """
    user = visitor.user
    shown = await endpoints.get_endpoint(endpoint, user=user.id)
    sent = await deliveries.list_deliveries(
        endpoint,
        state=state or None,
        before=before,
        limit=MESSAGES_PER_PAGE + 1,
        customer=None if user.admin else user.id,
    )
    page = rendering.render(
        "webhook_pages/endpoint.html",
        frame=frame_of(visitor),
        visitor=visitor,
        endpoint=shown,
        sent=sent[:MESSAGES_PER_PAGE],
        is_more=len(sent) > MESSAGES_PER_PAGE,
        states=("", *tables.DELIVERY_STATES),
        state=state,
        before=before,
        orders=f"{settings.load().prefix}/{'staff' if user.admin else 'shop'}/orders/",
        most_hours=endpoint_types.MAX_OVERLAP_HOURS,
        new_key=once.new_key,
        message=message,
        alarm=alarm,
        secret=secret,
    )
    return rendering.html_response(page, status)


async def show_secret(visitor: access.Visitor, endpoint: int) -> Response[str]:
    """Return the page of an endpoint with its new secret."""
    secret = await endpoints.read_secret(endpoint, user=visitor.user.id)
    return await _page(visitor, endpoint, secret=secret)


@get("/{endpoint:int}/", guards=[bodies.require_exact_ids])
async def show_endpoint(
    visitor: access.SignedIn,
    endpoint: bodies.PathId,
    state_: Annotated[str, QueryParameter(name="state")] = "",
    before: Annotated[int | None, QueryParameter(ge=1, le=fields.MAX_ID)] = None,
    done: FromQuery[str] = "",
) -> Response[str]:
    """Return the page, with the messages before an id; `done` is the key of the last form."""
    pagination.parse_choice("state", state_ or None, tables.DELIVERY_STATES)
    message = await once.read_message(visitor, done)
    return await _page(visitor, endpoint, state=state_, before=before, message=message)


async def _test(endpoint: int, _: Mapping[str, Any], user: int) -> str:
    await deliveries.send_test(endpoint, user=user)
    return "A test message is on its way. Its answer is in the list in a moment."


async def _replace_secret(endpoint: int, sent: Mapping[str, Any], user: int) -> str:
    rotation = forms.convert_fields(sent, endpoint_types.SecretRotation)
    await endpoints.rotate_secret(endpoint, rotation.overlap_hours, user=user, by=user)
    return "The secret is replaced."


async def _enable(endpoint: int, _: Mapping[str, Any], user: int) -> str:
    edit = endpoint_types.WebhookEndpointEdit(enabled=True)
    await endpoints.edit_endpoint(endpoint, edit, user=user, by=user)
    return "The endpoint is enabled. Messages that were pending are sent now."


async def _disable(endpoint: int, _: Mapping[str, Any], user: int) -> str:
    edit = endpoint_types.WebhookEndpointEdit(enabled=False)
    await endpoints.edit_endpoint(endpoint, edit, user=user, by=user)
    return "The endpoint is disabled."


async def _delete(endpoint: int, _: Mapping[str, Any], user: int) -> str:
    await endpoints.delete_endpoint(endpoint, user=user, by=user)
    return f"Endpoint {endpoint} is deleted."


async def _send_again(endpoint: int, sent: Mapping[str, Any], user: int) -> str:
    wanted = forms.convert_fields(sent, replaying.WebhookReplay)
    await replaying.replay(endpoint, wanted, user=user, by=user)
    return "The message is sent again."


async def _send_period(endpoint: int, sent: Mapping[str, Any], user: int) -> str:
    times = {name: _in_our_zone(name, str(sent.get(name, ""))) for name in ("since", "until")}
    wanted = conversion.convert_body(times, replaying.WebhookReplay)
    queued = (await replaying.replay(endpoint, wanted, user=user, by=user)).queued
    return f"{queued} message{'' if queued == 1 else 's'} of that time are sent again."


def _in_our_zone(field: str, text: str) -> str:
    """Return a time that a browser sends without an offset."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=settings.load().zone).isoformat()
    except ValueError:
        raise errors.ValidationFailed(
            f"/{field}", "invalid", f"{field} must be a day and a time."
        ) from None


DELETE, SECRET = "delete", "secret"
STEPS: dict[str, Step] = {
    "test": _test,
    SECRET: _replace_secret,
    "enable": _enable,
    "disable": _disable,
    DELETE: _delete,
    "again": _send_again,
    "period": _send_period,
}


@post("/{endpoint:int}/", guards=[bodies.require_exact_ids])
async def change_endpoint(
    request: access.Call, endpoint: bodies.PathId, visitor: access.SignedIn, state: State
) -> Response[Any]:
    """Carry out a step once; a refusal is shown on the page."""
    sent = await forms.read_own_fields(request, visitor)
    name = str(sent.get(STEP_FIELD, ""))
    values = {field: sent[field] for field in sent if field not in (STEP_FIELD, once.KEY_FIELD)}

    async def work() -> tuple[str, list[int]]:
        if name not in STEPS:
            raise errors.ValidationFailed("/step", "invalid", "Choose one of the buttons.")
        return await STEPS[name](endpoint, values, visitor.user.id), []

    path = f"{PATH}{endpoint}/"
    try:
        key = await once.carry_out(work, path=path, fields=sent, visitor=visitor, state=state)
    except (errors.ValidationFailed, errors.WebhookDisabled, errors.TooManyDeliveries) as refusal:
        alarm = forms.explain(refusal.detail, LABELS)
        return await _page(visitor, endpoint, alarm=alarm, status=refusal.status)
    if name == SECRET:
        return await show_secret(visitor, endpoint)
    path = PATH if name == DELETE else path
    return rendering.redirect(f"{settings.load().prefix}{path}?{once.DONE_PARAMETER}={key}")


HANDLERS = (show_endpoint, change_endpoint)
