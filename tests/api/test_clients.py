"""The address of the client. Only those entries of X-Forwarded-For are used that trusted proxies added."""

import ipaddress
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.edge.client_address import MAX_HOPS, UNKNOWN, client_address, client_key, client_of
from sla_monitor.formats.networks import Network

PROXIES: tuple[Network, ...] = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # the peer is not a proxy: the header is ignored
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"6.6.6.6, 198.51.100.7, 10.0.0.2,10.0.0.3"], "198.51.100.7"),
        ("10.0.0.1", [b"6.6.6.6", b"198.51.100.7", b"10.0.0.2"], "198.51.100.7"),
        ("10.0.0.1", [b"10.0.0.3, 10.0.0.2"], "10.0.0.3"),  # the client is in the network of the proxies
        ("10.0.0.1", [b"198.51.100.7, unknown"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, , 10.0.0.2"], "10.0.0.2"),
        ("10.0.0.1", [b"198.51.100.7:51234"], "198.51.100.7"),
        ("10.0.0.1", [b"[2001:db8::7]:51234"], "2001:db8::7"),
        ("10.0.0.1", [b"[2001:db8::7]"], "2001:db8::7"),
        ("10.0.0.1", [b"2001:DB8:0::7"], "2001:db8::7"),
        ("10.0.0.1", [b"[2001:db8::7"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.07"], "10.0.0.1"),
        ("10.0.0.1", [b"\xd9\xa1.2.3.4"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7\x00"], "10.0.0.1"),
        ("::ffff:10.0.0.1", [b"::ffff:198.51.100.7"], "198.51.100.7"),
        ("::ffff:192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),
        ("fd00::1", [b"2001:db8::7, fd00::2"], "2001:db8::7"),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, [b"198.51.100.7"], UNKNOWN),
        ("not an address", [b"198.51.100.7"], UNKNOWN),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_not_a_trusted_proxy(
    peer: str | None, forwarded_for: list[bytes], client: str
) -> None:
    assert client_address(peer, forwarded_for, PROXIES) == client


addresses = st.ip_addresses()
lines = st.lists(st.binary(max_size=60) | st.lists(addresses.map(str)).map(",".join).map(str.encode), max_size=4)


@given(addresses, lines)
def test_without_trusted_proxies_no_header_changes_anything(
    peer: ipaddress.IPv4Address, forwarded_for: list[bytes]
) -> None:
    assert client_address(str(peer), forwarded_for, ()) == client_address(str(peer), [], ())


@given(st.none() | st.text(max_size=40) | addresses.map(str), lines)
def test_the_result_is_always_an_address(peer: str | None, forwarded_for: list[bytes]) -> None:
    client = client_address(peer, forwarded_for, PROXIES)
    address = ipaddress.ip_address(client)
    assert str(address) == client
    assert "%" not in client
    assert not isinstance(address, ipaddress.IPv6Address) or address.ipv4_mapped is None
    assert client_key(client) == client_key(client_address(client, [], ()))


@given(
    lines, addresses.filter(lambda address: not _is_trusted(client_address(str(address), [], ()))), st.integers(0, 5)
)
def test_entries_left_of_the_client_are_ignored(
    forwarded_for: list[bytes], real: ipaddress.IPv4Address, hops: int
) -> None:
    """The first proxy appends the address of the client to the header. Each further proxy appends the address of the
    proxy before it."""
    added = ", ".join([str(real), *(f"10.0.0.{n}" for n in range(hops))]).encode()
    expected = client_address(str(real), [], ())
    assert client_address("10.0.0.99", [*forwarded_for, added], PROXIES) == expected
    joined = b",".join([*forwarded_for, added])
    assert client_address("10.0.0.99", [joined], PROXIES) == expected


def _is_trusted(address: str) -> bool:
    return any(ipaddress.ip_address(address) in network for network in PROXIES)


def test_a_long_header_is_read_up_to_a_limit() -> None:
    endless = b",".join([b"6.6.6.6", *[b"10.0.0.2"] * 20_000])
    assert client_address("10.0.0.1", [endless], PROXIES) == "10.0.0.2"
    long_but_honest = b",".join([b"198.51.100.7", *[b"10.0.0.2"] * (MAX_HOPS - 1)])
    assert client_address("10.0.0.1", [long_but_honest], PROXIES) == "198.51.100.7"


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
    ],
)
def test_an_ipv6_64_network_counts_as_one_client(address: str, key: str) -> None:
    assert client_key(address) == key


@pytest.mark.parametrize(("trusted", "client"), [((), "10.0.0.1"), (PROXIES, "198.51.100.7")])
def test_the_headers_of_a_request_or_a_socket_are_read(trusted: Sequence[Network], client: str) -> None:
    headers = [(b"host", b"x"), (b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"198.51.100.7")]
    for kind in ("http", "websocket"):
        scope = {"type": kind, "client": ("10.0.0.1", 51234), "headers": headers}
        assert client_of(scope, trusted) == client
