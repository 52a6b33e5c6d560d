"""The client's address: rate limits and connection limits count by it, and the audit log records it.

Behind a proxy the peer is the proxy, and X-Forwarded-For names the client. Any client can send that header. It is
therefore read from the right, where the nearest proxy appends the address of its peer, and only as far as proxies of
TRUSTED_PROXIES have appended entries.
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sla_monitor.formats.networks import Network

UNKNOWN = "0.0.0.0"  # noqa: S104  # for a peer that has already disconnected; no socket is bound to it
MAX_HOPS = 32
"""At most this many entries of X-Forwarded-For are read."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT = re.compile(r"\[([^][]*)\](?::\d{1,5})?|([^:]*):\d{1,5}")


def client_address(peer: str | None, forwarded_for: Sequence[bytes], trusted: Sequence[Network]) -> str:
    """The address of the client: the nearest one that is not a trusted proxy. `forwarded_for`: the X-Forwarded-For
    headers in the order of the request.

    If an entry is not an address, the result is the entry to its right, or the peer.
    """
    client = _address(peer or UNKNOWN) or ipaddress.ip_address(UNKNOWN)
    if not forwarded_for or not _is_in(client, trusted):
        return str(client)
    for hop in reversed(b",".join(forwarded_for).rsplit(b",", MAX_HOPS)):
        address = _forwarded(hop.decode("latin-1").strip(" \t"))
        if address is None:
            break
        client = address
        if not _is_in(client, trusted):
            break
    return str(client)


def client_of(scope: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """The client's address in an ASGI scope, of a request or of a WebSocket."""
    peer = scope.get("client")
    lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"] if trusted else []
    return client_address(peer[0] if peer else None, lines, trusted)


def is_secure(scope: Mapping[str, Any], trusted: Sequence[Network]) -> bool:
    """Whether the client's connection is TLS, to this server or to a trusted proxy (X-Forwarded-Proto)."""
    if scope.get("scheme") == "https":
        return True
    peer = scope.get("client")
    if not peer or not is_proxy(peer[0], trusted):
        return False
    protocols = [value for name, value in scope["headers"] if name == b"x-forwarded-proto"]
    return bool(protocols) and protocols[-1].rpartition(b",")[2].strip().lower() == b"https"


def is_proxy(peer: str, trusted: Sequence[Network]) -> bool:
    """Whether `peer` is a trusted proxy."""
    address = _address(peer) if trusted else None
    return address is not None and _is_in(address, trusted)


def client_key(address: str) -> str:
    """The key under which a client is counted: its IPv4 address, or the /64 network of its IPv6 address."""
    if ":" not in address:
        return address
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def _forwarded(hop: str) -> Address | None:
    """Parses one entry of X-Forwarded-For: an address, optionally in brackets and with a port."""
    with_port = _WITH_PORT.fullmatch(hop)
    return _address((with_port[1] or with_port[2] or "") if with_port else hop)


def _address(text: str) -> Address | None:
    """Parses an address. An IPv4-mapped IPv6 address becomes IPv4; a zone (`%eth0`) is removed."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or ipaddress.IPv6Address(int(address))
    return address


def _is_in(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
