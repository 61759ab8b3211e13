"""Mutations of the webhooks that we send: who gets what, in which order, when, and signed how."""

from tests.mutations import at

DELIVERING = "tests/webhooks/test_delivering.py"

MUTATIONS = [
    *at(
        "icecream/webhooks/rounds.py",
        DELIVERING,
        (
            "webhooks out: an event overtakes the one before",
            "        return result.is_accepted\n",
            "        return True\n",
        ),
        (
            "webhooks out: an endpoint that is down gets every message",
            "not self.accepted and len(self.failures) >= MAX_FAILURES",
            "False",
        ),
        (
            "webhooks out: a busy receiver gets more messages",
            "self.is_gone or self.retry_after > 0",
            "self.is_gone",
        ),
        (
            "webhooks out: a message is retried before the time that was named",
            "max(delay, int(1000 * result.retry_after))",
            "delay",
        ),
        ("webhooks out: the second retry follows at once", "(5, 300, 1800,", "(5, 5, 1800,"),
        # Survives: the next round postpones them too; this saves it the work.
        (
            "webhooks out: the other events of an order do not wait",
            "        if delay is not None and one.order is not None:",
            "        if False:",
        ),
    ),
    *at(
        "icecream/webhooks/delivering.py",
        DELIVERING,
        (
            "webhooks out: an endpoint is tried before the time that it has named",
            "pause = max(pause, own * random.uniform(0.75, 1.25))",
            "pause = own * random.uniform(0.75, 1.25)",
        ),
        (
            "webhooks out: an endpoint that answers again stays failing",
            "changed |= {WebhookEndpoint.failures: 0, WebhookEndpoint.failing_since: None}",
            "pass",
        ),
        (
            "webhooks out: an endpoint that fails for days is never disabled",
            "endpoint.failing_since >= DISABLE_AFTER",
            "endpoint.failing_since < timedelta(0)",
        ),
        (
            "webhooks out: an endpoint that is gone stays enabled",
            "if one_round.is_gone:",
            "if False:",
        ),
        (
            "webhooks out: the old secret does not sign during the overlap",
            "return [self.secret, self.previous_secret]",
            "return [self.secret]",
        ),
        (
            "webhooks out: the old secret signs after the overlap",
            " and until > now:",
            ":",
        ),
        (
            "webhooks out: a former member of staff gets the orders of others",
            "if not endpoint.is_staff and delivery.customer not in (None, endpoint.user):",
            "if False:",
        ),
    ),
    *at(
        "icecream/webhooks/queueing.py",
        f"{DELIVERING} tests/webhooks/test_replaying.py",
        # Survives: the queries for new events and for replays choose the customer's events already.
        (
            "webhooks out: a customer gets the orders of others",
            "is_visible = self.is_staff or event.data.user == self.user",
            "is_visible = True",
        ),
        (
            "webhooks out: types that were not chosen are sent",
            "(self.types is None or messages.event_type(event) in self.types)",
            "True",
        ),
        (
            "webhooks out: events from before the endpoint are sent",
            " if event.position > one.start]",
            "]",
        ),
    ),
    *at(
        "icecream/webhooks/sending.py",
        "tests/webhooks/test_sending.py",
        ("webhooks out: a redirect is accepted", "200 <= self.status_code < 300", "True"),
    ),
    *at(
        "icecream/webhooks/connections.py",
        "tests/webhooks/test_sending.py",
        (
            "webhooks out: a private address is connected to",
            "return addresses.is_allowed(parsed, self._networks, public=self._public)",
            "return True",
        ),
        (
            "webhooks out: the host of the URL itself is not checked",
            "if not self._is_allowed(address):",
            "if False:",
        ),
        ("webhooks out: a redirect is followed", "allow_redirects=False", "allow_redirects=True"),
        (
            "webhooks out: a receiver may ask for any pause",
            "MAX_RETRY_AFTER_SECONDS = 3600.0",
            "MAX_RETRY_AFTER_SECONDS = 1e9",
        ),
        (
            "webhooks out: any answer may ask for a pause",
            "if response.status not in RETRY_AFTER_STATUSES or not text:",
            "if not text:",
        ),
    ),
    *at(
        "icecream/webhooks/endpoints.py",
        "tests/webhook_pages/test_pages.py",
        (
            "webhooks out: a user has one endpoint too many",
            ">= MAX_ENDPOINTS_PER_USER:",
            "> MAX_ENDPOINTS_PER_USER:",
        ),
        (
            "webhooks out: a user sees the endpoint of another one",
            "condition if user is None else condition & (WebhookEndpoint.user == user)",
            "condition",
        ),
    ),
    *at(
        "icecream/webhooks/replaying.py",
        "tests/webhooks/test_replaying.py",
        (
            "webhooks out: a message of another endpoint is replayed",
            "WebhookDelivery.id == delivery, WebhookDelivery.endpoint == endpoint",
            "WebhookDelivery.id == delivery",
        ),
        (
            "webhooks out: a replay sends types that were not chosen",
            "if subscription.wants(event)",
            "if event",
        ),
    ),
]
