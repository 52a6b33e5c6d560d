"""Who is at the other end: the address that limits count, the audit log writes down and sockets are capped by.

Behind a proxy the peer is the proxy. X-Forwarded-For names the client then, but everybody can send that header: it is
believed only as far as a proxy of TRUSTED_PROXIES wrote it, from the right, where the nearest hop has added its peer.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sla_monitor.settings.values import Network

UNKNOWN = "0.0.0.0"  # noqa: S104  # nothing is bound to it: it stands for a peer that is gone before it was asked
MAX_HOPS = 32
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT = re.compile(r"\[([^][]*)\](?::\d{1,5})?|([^:]*):\d{1,5}")


def client_address(peer: str | None, forwarded_for: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The nearest address that is not a trusted proxy; `forwarded_for` are the X-Forwarded-For lines in their order.

    Where a hop is no address, the last one before it stands.
    """
    client = _address(peer or UNKNOWN) or ipaddress.ip_address(UNKNOWN)
    if not forwarded_for or not _among(client, trusted):
        return str(client)
    for hop in reversed(b",".join(forwarded_for).rsplit(b",", MAX_HOPS)):
        address = _forwarded(hop.decode("latin-1").strip(" \t"))
        if address is None:
            break
        client = address
        if not _among(client, trusted):
            break
    return str(client)


def client_of(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """The same for an ASGI scope, of a request or of a socket."""
    peer = scope.get("client")
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"] if trusted else []
    return client_address(peer[0] if peer else None, lines, trusted)


def is_secure(scope: Mapping[str, Any], trusted: Sequence[Network]) -> bool:
    """Whether the browser speaks TLS: to us, or to a trusted proxy, which says so in X-Forwarded-Proto."""
    if scope.get("scheme") == "https":
        return True
    peer = scope.get("client")
    if not peer or not is_proxy(peer[0], trusted):
        return False
    told = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    return bool(told) and told[-1].rpartition(b",")[2].strip().lower() == b"https"


def is_proxy(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether `peer` is a trusted proxy."""
    address = _address(peer) if trusted else None
    return address is not None and _among(address, trusted)


def client_key(address: str) -> str:
    """What one client is counted by: whoever has one IPv6 address has 2^64 of them."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def _forwarded(hop: str) -> Address | None:
    """One entry of the header: an address, perhaps in brackets, perhaps with a port."""
    with_port = _WITH_PORT.fullmatch(hop)
    return _address((with_port[1] or with_port[2] or "") if with_port else hop)


def _address(text: str) -> Address | None:
    """One name for one address: IPv4 within IPv6 is IPv4, and an interface (`%eth0`) is no part of it."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def _among(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
