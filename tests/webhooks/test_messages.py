"""Test the messages: their types are those of the events that orders have."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from icecream import states
from icecream.webhooks import endpoints, messages

pytestmark = pytest.mark.only("sqlite")
TOP = Path(__file__).parents[2]
# An event whose name is a text in the code.
NAMED_EVENT = re.compile(r"""(?:add_event\(\s*|OrderEvent\([\w.]+, )"([a-z-]+)\"""")


def test_every_event_of_an_order_can_be_chosen() -> None:
    text = "".join(path.read_text() for path in (TOP / "icecream").rglob("*.py"))
    kinds = {*NAMED_EVENT.findall(text), *states.ORDER, *states.FULFILMENT}
    assert len(kinds) > len(states.ORDER)
    assert {f"order.{kind.replace('-', '_')}" for kind in kinds} <= {*messages.EVENT_TYPES}


def test_a_message_is_verified_with_each_of_its_secrets() -> None:
    secrets = [endpoints.new_secret(), endpoints.new_secret()]
    body = messages.encode_body("order.paid", datetime.now(UTC), {"note": "Größe \u2028"})
    headers = messages.signed_headers("evt_1", body, secrets, at=datetime.now(UTC))
    for secret in secrets:
        assert Webhook(secret).verify(body.encode(), headers)["type"] == "order.paid"
