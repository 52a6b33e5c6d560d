"""The deny rule applies to every notation of an address."""

from ipaddress import ip_network

import pytest

from prober.probes.networks import DenyRule
from sla_monitor.settings import Settings

METADATA = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "fe80::1",
    "fe80::1%eth0",
    "fe80::200:5efe:a9fe:a9fe",
    "2001:db8::5efe:a9fe:a9fe",
    "fd00:ec2::254",
    "100.100.100.200",
]


@pytest.mark.parametrize("address", METADATA)
def test_metadata_and_link_local_are_denied_by_default(address: str) -> None:
    assert DenyRule(Settings().probe_deny_networks).denied(address)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "93.184.216.34", "2606:4700::1", "64:ff9b::8.8.8.8"]
)
def test_other_addresses_are_allowed(address: str) -> None:
    assert not DenyRule(Settings().probe_deny_networks).denied(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::ffff:127.0.0.1", "::", "::ffff:0.0.0.0"])
def test_the_unspecified_address_is_denied_like_loopback(address: str) -> None:
    assert DenyRule((ip_network("127.0.0.0/8"),)).denied(address)


def test_a_teredo_address_is_denied_by_its_server_and_by_its_client() -> None:
    rule = DenyRule((ip_network("203.0.113.0/24"),))
    assert rule.denied("2001:0:cb00:7101::1")  # the server
    assert rule.denied("2001::34ff:8efe")  # the client, inverted


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://169.254.169.254/", "169.254.169.254"),
        ("https://u:p@169.254.169.254:8080", "169.254.169.254"),
        ("http://2852039166/", "169.254.169.254"),
        ("http://0xa9.254.43518/", "169.254.169.254"),
        ("http://[fe80::1]/", "fe80::1"),
        ("http://10.0.0.1/", None),
        ("http://metadata.example/", None),
        ("http://a..b/", None),
        ("http://[::/", None),
    ],
)
def test_a_denied_address_is_found_in_a_url(url: str, address: str | None) -> None:
    assert DenyRule(Settings().probe_deny_networks).denied_in(url) == address


def test_localhost_is_denied_if_both_loopback_networks_are() -> None:
    both, one = DenyRule((ip_network("127.0.0.0/8"), ip_network("::1/128"))), DenyRule((ip_network("127.0.0.0/8"),))
    for url in ("http://localhost:80/", "http://LOCALHOST./", "http://api.localhost/"):
        assert both.denied_in(url) == "127.0.0.1"
        assert one.denied_in(url) is None, "::1 is allowed"
