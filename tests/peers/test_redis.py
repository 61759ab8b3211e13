"""Test setups of Redis and Valkey: each works, or one line says what to set.

The metric, readiness and the log always agree.
"""

import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, aclosing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from redis import Redis
from taskiq import BrokerMessage

from icecream import errors, settings
from icecream.http import login_counts, rate_limits
from icecream.runtime import logs
from tasks import broker, notify
from tests import servers
from tests.conftest import tool
from tests.processes import until

pytestmark = [pytest.mark.anyio, pytest.mark.only("postgres")]
KEY = "shop:payments"
# The permissions that our user needs according to docs/operating.md.
ALLOWED = (
    "~shop:*|+xadd|+xrevrange|+xreadgroup|+xgroup|+client|+select"
    "|+get|+incrby|+expire|+ttl|+del|+evalsha|+script"
)
SCOPE = {"client": ("192.0.2.1", 1), "headers": []}
Use = Callable[[str], broker.RedisBroker]
PROGRAMS = [
    pytest.param(name, marks=pytest.mark.needs(name)) for name in ("redis-server", "valkey-server")
]


@dataclass
class Peers:
    """Starts servers of one program; the servers end with the test."""

    program: str
    folder: Path
    start: Callable[..., Any]

    def server(self, name: str, **options: str) -> servers.Server:
        found: servers.Server = self.start(
            servers.redis(self.folder / name, program=self.program, **options)
        )
        return found


@pytest.fixture(params=PROGRAMS)
def peers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Peers]:
    with ExitStack() as held:
        yield Peers(str(tool(request.param)), tmp_path, held.enter_context)


@pytest.fixture
async def use(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Use]:
    """Yield a function that makes the broker for an address; the brokers end with the test."""
    brokers: list[broker.RedisBroker] = []

    def used(url: str) -> broker.RedisBroker:
        brokers.append(bell_at(monkeypatch, url))
        return brokers[-1]

    yield used
    for redis_broker in brokers:
        await redis_broker.shutdown()


def bell_at(monkeypatch: pytest.MonkeyPatch, url: str) -> broker.RedisBroker:
    read = settings.parse_settings(
        {
            "ICECREAM_REDIS_URL": url,
            "ICECREAM_REDIS_PREFIX": "shop",
            "ICECREAM_DATABASE_URL": "postgresql://is/open",
            "ICECREAM_SECRET_KEY": os.environ["ICECREAM_SECRET_KEY"],
        }
    )
    monkeypatch.setattr(settings, "load", lambda: read)
    redis_broker = broker._create_broker()
    assert isinstance(redis_broker, broker.RedisBroker)
    monkeypatch.setattr(notify, "broker", redis_broker)
    monkeypatch.setattr(broker, "PROBE_INTERVAL_SECONDS", 0)
    monkeypatch.setattr(logs, "RECOVERY_SECONDS", 0)
    return redis_broker


async def works(redis_broker: broker.RedisBroker) -> None:
    """Check that a notification arrives and that there is no warning."""
    message = BrokerMessage(task_id="1", task_name="x", message=b"notification", labels={})
    async with aclosing(redis_broker.listen()) as messages:
        await redis_broker.kick(message)
        assert await anext(messages) == b"notification"
    assert await notify.redis_is_unavailable() is False
    assert await notify.redis_warnings() == []


async def is_refused(_: broker.RedisBroker, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """Check that metric, readiness and log agree, and that the log has one line for all errors."""
    caplog.clear()
    await notify.notify_workers([1])
    assert await notify.redis_is_unavailable() is True
    (warning,) = await notify.redis_warnings()
    assert reason in warning
    assert warning.endswith("; payments continue with the sweep.")
    assert [message for message in caplog.messages if "Redis" in message] == [warning]


async def test_redis_works_with_both_protocol_versions(peers: Peers, use: Use) -> None:
    server = peers.server("alone")
    for options in ("", "?protocol=2", "?protocol=3"):
        await works(use(server.url + options))


async def test_an_acl_user_needs_the_documented_permissions(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    server = peers.server(
        "acl", user=f"ice|on|>cream-pass|{ALLOWED}", requirepass="something-long-enough"
    )
    where = f"127.0.0.1:{server.port}/0"
    for protocol in (2, 3):
        await works(use(f"redis://ice:cream-pass@{where}?protocol={protocol}"))
        for n in range(11):
            refused = pytest.raises(errors.QuotaExceeded) if n == 10 else nullcontext()
            with refused:
                await rate_limits.begin_login(f"user {protocol}", SCOPE)
        await rate_limits.end_login(f"user {protocol}", SCOPE)
        await rate_limits.begin_login(f"user {protocol}", SCOPE)
        await login_counts.close()
        assert "each process counts" not in caplog.text
    wrong = {f"ice:wrong@{where}": "WRONGPASS", where: "NOAUTH"}
    for address, reason in wrong.items():
        await is_refused(use(f"redis://{address}"), reason, caplog)
    assert "cream-pass" not in caplog.text


async def test_a_user_without_access_to_our_key_is_reported(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    server = peers.server("acl", user="ice|on|>cream-pass|~other:*|+@all")
    redis_broker = use(f"redis://ice:cream-pass@127.0.0.1:{server.port}/0")
    await is_refused(redis_broker, "NOPERM", caplog)


async def test_tls_works_with_a_private_authority(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    authority, folder = trustme.CA(), peers.folder
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    files = dict.fromkeys(("tls_cert_file", "tls_key_file"), str(folder / "server.pem"))
    server = peers.server("tls", tls_auth_clients="no", **files)
    url = server.url.replace("redis:", "rediss:")
    await works(use(f"{url}?ssl_ca_certs={folder / 'ca.pem'}"))
    await is_refused(use(url), "certificate verify failed", caplog)


async def test_a_replica_is_refused_and_its_primary_works(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    primary = peers.server("primary")
    replica = peers.server("replica", replicaof=f"127.0.0.1|{primary.port}")
    await works(use(primary.url))
    redis_broker = use(replica.url)
    await is_refused(redis_broker, "READONLY", caplog)


async def test_a_cluster_node_works_only_with_the_slot_of_our_key(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    def node(name: str, mine: str, others: str) -> servers.Server:
        """Start one of two cluster nodes; the other does not exist."""
        port = servers.free_port()
        (peers.folder / name).mkdir()
        (peers.folder / name / "nodes.conf").write_text(
            f"{'a' * 40} 127.0.0.1:{port}@{port + 10000} myself,master - 0 0 1 connected{mine}\n"
            f"{'b' * 40} 127.0.0.1:1@10001 master - 0 0 2 connected{others}\n"
            "vars currentEpoch 2 lastVoteEpoch 0\n"
        )
        server: servers.Server = peers.start(
            servers.redis(
                peers.folder / name,
                port,
                peers.program,
                cluster_enabled="yes",
                # The default is within the range of ports that the system assigns to clients.
                cluster_port=str(servers.free_port()),
                cluster_require_full_coverage="no",
                cluster_node_timeout="60000",
            )
        )
        with Redis.from_url(server.url) as client:
            until(
                lambda: re.search(
                    r"cluster_state\W+ok", str(client.execute_command("CLUSTER INFO"))
                ),
                "the cluster is up",
            )
        return server

    with_key, without_key = node("with", " 0-16383", ""), node("without", "", " 0-16383")
    await works(use(with_key.url))
    await is_refused(use(without_key.url), "MOVED", caplog)


async def test_a_sentinel_is_not_accepted_as_a_server(
    peers: Peers, use: Use, caplog: pytest.LogCaptureFixture
) -> None:
    folder, port = peers.folder / "sentinel", servers.free_port()
    folder.mkdir()
    (folder / "sentinel.conf").write_text(f"port {port}\nbind 127.0.0.1\ndir {folder}\n")
    server = servers.Server(
        url=f"redis://127.0.0.1:{port}/0",
        port=port,
        command=[peers.program, str(folder / "sentinel.conf"), "--sentinel"],
        answers=lambda: servers.pongs(port),
        log=folder / "log",
    )
    with servers.running(server):
        await is_refused(use(server.url), "perhaps it is a Sentinel", caplog)
