"""Origins of web pages: scheme, host and port, compared as browsers write them in `Origin`.

Capitals, a default port that is written out and a final dot of the host make no other origin.
"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

from sla_monitor.formats.host_names import host_in

DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?"
_ORIGIN = re.compile(rf"(https?)://{_HOST}", re.IGNORECASE)
_AUTHORITY = re.compile(_HOST)


class Origin(NamedTuple):
    scheme: str
    host: str
    """In small letters, without a final dot; of IPv6 in brackets."""
    port: int

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def origin_of(url: str) -> Origin:
    """Of an absolute http(s) URL: its host in ASCII as browsers send it. Raises HostNameError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return Origin(scheme, host_in(parts.netloc).removesuffix("."), parts.port or DEFAULT_PORTS[scheme])


def read_origin(header: str) -> Origin | None:
    """What `Origin` says; None where it names none, as `null` does."""
    match = _ORIGIN.fullmatch(header)
    if match is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, _host(match[2]), int(match[3] or DEFAULT_PORTS[scheme]))


def asked_origin(host_header: str, scheme: str) -> Origin | None:
    """The origin that is asked over `scheme` by this `Host`; None where that names nothing."""
    match = _AUTHORITY.fullmatch(host_header)
    return Origin(scheme, _host(match[1]), int(match[2] or DEFAULT_PORTS[scheme])) if match is not None else None


def _host(text: str) -> str:
    name = text.lower()
    if name.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(name[1:-1])}]"
        except ValueError:
            return name
    return name.removesuffix(".")
