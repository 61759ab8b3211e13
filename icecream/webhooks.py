"""Webhooks of payment providers over HTTP: their signature is checked, and they are stored."""

from litestar import post
from litestar.datastructures import State
from litestar.params import FromPath

from icecream import bodies, errors, gateway, payments, quotas, settings


# Not part of the API's document: the provider defines the messages and their signature. A provider
# never gets a rate limit, also on a shared address. Only requests with an invalid signature are
# counted.
@post(
    "/api/payments/webhooks/{provider:str}",
    status_code=200,
    include_in_schema=False,
    exclude_from_auth=True,
    uncounted=True,
    any_query=True,
)
async def hear(request: bodies.AnyBody, provider: FromPath[str], state: State) -> dict[str, bool]:
    """Keep what the provider says; answered after the commit, so that it is not lost."""
    if provider != settings.load().payment_provider:
        raise errors.NotFound
    try:
        notice = state.gateway.notice(await request.body(), request.headers)
    except gateway.Unsigned:
        refusal = errors.InvalidSignature()
        refusal.headers |= quotas.spend(quotas.address(request.scope))
        raise refusal from None
    if notice is not None:
        await payments.notices.receive(provider, notice)
    return {"received": True}
