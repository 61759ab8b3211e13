"""Addresses of webhook endpoints: the allowed URLs, and the allowed IP addresses.

A user chooses the URL, and this service connects to it. So without these checks a user could reach
services of the private network (server-side request forgery).
"""

import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from icecream.tables import MAX_URL_LENGTH

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Of visible ASCII characters; so the libraries that read a URL cannot read it in two ways.
URL_PATTERN = r"^https?://[!-.0-~][!-~]*$"
# A user and a password are refused with a text of their own.
NETLOC_PATTERN = r"([^@]*@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]\\@:]+)(:[0-9]*)?"
# RFC 4291, 2.4: all global unicast addresses.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Special purposes that not all versions of Python know: RFC 6890, RFC 7526 and RFC 9637.
_SPECIAL: tuple[Network, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
)
# RFC 6052: an IPv4 address follows, to which a gateway connects.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def find_url_problem(url: str, private_networks: Sequence[str]) -> str | None:
    """Return the predicate about a URL that is not allowed, or None.

    The addresses of a host are checked when a message is sent (`connections.CheckedResolver`).
    """
    if not re.fullmatch(URL_PATTERN, url):
        return "must be a URL that begins with https://, of visible ASCII characters"
    try:
        parts = urlsplit(url)
        valid = bool(re.fullmatch(NETLOC_PATTERN, parts.netloc)) and parts.port != 0
    except ValueError:
        return "must be a URL with a valid host and port"
    if not valid or len(url) > MAX_URL_LENGTH:
        return f"must be a URL with a host, of at most {MAX_URL_LENGTH} characters"
    if parts.username is not None or parts.fragment:
        return "must not contain a user, a password or a fragment"
    if parts.scheme != "https" and not private_networks:
        return "must begin with https://"
    return None if _may_be_allowed(parts.hostname or "", private_networks) else "must be public"


def _may_be_allowed(host: str, private_networks: Sequence[str]) -> bool:
    """Return whether a host is a name, or an allowed address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return is_allowed(address, private_networks)


def is_allowed(address: Address, private_networks: Sequence[str], *, public: bool = True) -> bool:
    """Return whether we may connect to an address: it is public, or in one of these networks.

    Args:
        public: whether public addresses are allowed at all.
    """
    address = _unwrap(address)
    if any(address in ipaddress.ip_network(network) for network in private_networks):
        return True
    return public and _is_public(address)


def _unwrap(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def _is_public(address: Address) -> bool:
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    # A tunnel would lead to another address, which is not checked.
    is_tunnel = address.sixtofour is not None or address.teredo is not None
    return address in _GLOBAL_UNICAST and not is_tunnel
