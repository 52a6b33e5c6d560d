"""A network of IP addresses."""

from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network
