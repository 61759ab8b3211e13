"""Test which IP addresses webhooks may be sent to."""

import ipaddress

import pytest

from icecream.webhooks import addresses

pytestmark = pytest.mark.only("sqlite")
PUBLIC = ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
FORBIDDEN = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses_are_allowed(text: str) -> None:
    assert addresses.is_allowed(ipaddress.ip_address(text), ())
    assert not addresses.is_allowed(ipaddress.ip_address(text), (), public=False)


@pytest.mark.parametrize("text", FORBIDDEN)
def test_other_addresses_are_forbidden(text: str) -> None:
    assert not addresses.is_allowed(ipaddress.ip_address(text), ())


@pytest.mark.parametrize("text", ["10.1.2.3", "::ffff:10.1.2.3", "fd12:3456::1"])
def test_an_address_of_a_private_network_of_the_settings_is_allowed(text: str) -> None:
    networks = ("10.0.0.0/8", "fd12:3456::/32")
    assert addresses.is_allowed(ipaddress.ip_address(text), networks)
    assert not addresses.is_allowed(ipaddress.ip_address("192.168.0.1"), networks)


@pytest.mark.parametrize(
    "rest", ["[::1]x:8080/", "a\\b/", ":80/", "[::1/", "a.example:99999/", "a.example:0/"]
)
def test_a_url_without_a_valid_host_is_refused(rest: str) -> None:
    for networks in ((), ("::1/128",)):
        problem = addresses.find_url_problem(f"https://{rest}", networks)
        assert problem is not None and problem.startswith("must be a URL with")


@pytest.mark.parametrize("rest", ["a.example/", "a.example:8443/x?y=z", "[2606:4700::1111]:443/"])
def test_a_url_with_a_public_host_is_allowed(rest: str) -> None:
    assert addresses.find_url_problem(f"https://{rest}", ()) is None
