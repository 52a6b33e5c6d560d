"""The networks that probes do not connect to, in all forms of their addresses.

The prober applies the rule to each address just before it connects. The API applies it when a service is saved.
"""

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from sla_monitor.formats.host_names import host_in
from sla_monitor.formats.networks import Network

_NAT64 = (ip_network("64:ff9b::/96"), ip_network("64:ff9b:1::/48"))
_IPV4_COMPATIBLE = ip_network("::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_LOOPBACK = ("127.0.0.1", "::1")


def _forms(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address, and each address that can receive a packet sent to it.

    A denied IPv4 address can be reached as IPv4-mapped or -compatible IPv6, and through translators and
    tunnels (NAT64, 6to4, Teredo, ISATAP). `is_private` and `is_global` misjudge several of these.
    """
    yield address
    if int(address) == 0:  # connect() treats 0.0.0.0 and :: as this host
        yield IPv4Address("127.0.0.1")
        yield IPv6Address("::1")
    if isinstance(address, IPv4Address):
        return
    last_32_bits = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address.ipv4_mapped is not None or address in _IPV4_COMPATIBLE or any(address in nat for nat in _NAT64):
        yield from _forms(last_32_bits)
    elif (int(address) >> 32) & 0xFFFF_FFFF in _ISATAP:
        yield last_32_bits
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo


class DenyRule:
    """`denied(address)`, with an address as text, is true if it lies in one of the networks."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks
        self.denied = lru_cache(maxsize=4096)(self._denied)

    def denied_in(self, url: str) -> str | None:
        """The address in the URL if it is denied. None if it is allowed, or if the host is a name.

        `localhost` and names below it are loopback addresses by definition (RFC 6761): they are denied if those of
        both families are.
        """
        try:
            host = host_in(urlsplit(url).netloc).removesuffix(".")
            addresses = _LOOPBACK if host == "localhost" or host.endswith(".localhost") else (host.strip("[]"),)
            return addresses[0] if all(map(self.denied, addresses)) else None
        except ValueError:  # a name
            return None

    def _denied(self, address: str) -> bool:
        parsed = ip_address(address.partition("%")[0])
        return any(form in network for form in _forms(parsed) for network in self._networks)
