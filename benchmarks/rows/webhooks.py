"""The row about webhooks: the messages that a worker sends."""

import sys
from collections.abc import Iterator
from functools import partial

from benchmarks import services
from benchmarks.databases import psql
from benchmarks.rows.payments import MAX_SETTLING_FACTOR, measure_worker, with_worker
from benchmarks.run import CONNECTIONS, Run, at_least
from benchmarks.service import Service, free_port
from benchmarks.table import TableLine

# Pending messages for each second of a measurement: more than a worker sends.
MESSAGES_PER_SECOND = 3_000
# Two messages about each order, as in the feed. Orders repeat if there are not enough.
ADD_MESSAGES = """INSERT INTO webhook_delivery
    (endpoint, "order", customer, message, type, body, state, tries, created_at, due_at)
    SELECT {endpoint}, o.id, o."user", 'evt_' || n, 'order.paid', rpad('{{"n": ' || n, 300) || '}}',
        'pending', 0, now(), now()
    FROM generate_series(1, {count}) n
    JOIN (SELECT id, "user", row_number() OVER (ORDER BY id DESC) AS place FROM orders) o
        ON o.place = (n + 1) / 2"""
DELETE_ENDPOINT = "UPDATE webhook_endpoint SET deleted_at = now() WHERE id = {}"
COUNT_SENT = "SELECT count(*) FROM webhook_delivery WHERE endpoint = {} AND state = 'succeeded'"


def webhooks(run: Run) -> Iterator[TableLine]:
    """Compare the messages that one worker sends with the payments that it settles."""
    port, longest = free_port(), MAX_SETTLING_FACTOR * run.seconds
    with services.ours(delay="0") as our:
        receiver = our.start_process(sys.executable, "-m", "benchmarks.receiver", str(port))
        _, settled, sent = run.measure_in_turns(
            accepting=lambda: our.orders(CONNECTIONS, run.seconds).rate,
            settling=partial(measure_worker, our, longest),
            sending=partial(_measure_sending, our, f"http://127.0.0.1:{port}/", run.seconds),
        )
        our.stop_process(receiver)
    yield TableLine("webhooks sent", at_least(0.3), sent, "payments settled", settled)


def _measure_sending(service: Service, url: str, seconds: float) -> float:
    """Return the messages that a worker sends per second to one endpoint."""
    endpoint = service.call("POST", "/api/webhooks/", {"url": url})["id"]
    count = int(MESSAGES_PER_SECOND * seconds)
    psql(service.database, ADD_MESSAGES.format(endpoint=endpoint, count=count))
    sent = COUNT_SENT.format(endpoint)
    pending = int(psql(service.database, sent.replace("succeeded", "pending")))
    rate = with_worker(
        service,
        lambda begin: service.measure_rate(
            begin, pending, lambda: int(psql(service.database, sent)), seconds
        ),
    )
    psql(service.database, DELETE_ENDPOINT.format(endpoint))
    return rate
