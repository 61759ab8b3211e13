"""Webhooks of payment providers over HTTP: their signature is checked, and they are stored."""

from litestar import post
from litestar.datastructures import State
from litestar.params import FromPath

from icecream import errors, settings
from icecream.http import bodies, rate_limits
from icecream.payments import providers, webhook_inbox


# Not part of the API document: the provider defines the messages and their signature. Requests of
# the provider are not rate limited. Only requests with an invalid signature are counted.
@post(
    "/api/payments/webhooks/{provider:str}",
    status_code=200,
    include_in_schema=False,
    exclude_from_auth=True,
    exclude_from_rate_limit=True,
    any_query=True,
)
async def receive_webhook(
    request: bodies.ApiRequest, provider: FromPath[str], state: State
) -> dict[str, bool]:
    """Store a webhook event; the response follows the commit, so that no event is lost."""
    if provider != settings.load().payment_provider:
        raise errors.NotFound
    try:
        event = state.provider.parse_webhook(await request.body(), request.headers)
    except providers.UnverifiedWebhook:
        refusal = errors.InvalidSignature()
        refusal.headers |= rate_limits.count_request(rate_limits.client_address(request.scope))
        raise refusal from None
    if event is not None:
        await webhook_inbox.store_event(provider, event)
    return {"received": True}
