"""Run localstripe, an independent imitation of Stripe: `python -m tests.other_stripe PORT`.

Localstripe's own command listens on every address and keeps a file in /tmp that all users share.
Localstripe is a little behind Stripe and refuses unknown parameters. This module removes them.
"""

import sys
from typing import Any

from aiohttp import web
from localstripe import resources, server

create = resources.PaymentIntent._api_create


def create_without_new_parameters(
    automatic_payment_methods: object = None, **parameters: Any
) -> object:
    return create(**parameters)


@web.middleware
async def remove_time_filter(request: web.Request, handler: Any) -> web.StreamResponse:
    """Remove the time window from requests for lists."""
    request._cache["query"] = request.rel_url.without_query_params(
        "created[gte]", "created[lt]"
    ).query
    answer: web.StreamResponse = await handler(request)
    return answer


resources.Store.dump_to_disk = lambda store: None
resources.PaymentIntent._api_create = create_without_new_parameters
server.app.middlewares.insert(0, remove_time_filter)
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None)
