"""Origins of web pages (scheme, host and port) in the form in which browsers send them in the header `Origin`.

Capital letters, an explicit default port and a final dot of the host do not make another origin.
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
    """In lower case, without a final dot; an IPv6 address in brackets."""
    port: int

    def __str__(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def origin_of(url: str) -> Origin:
    """The origin of an absolute http(s) URL, with the host in ASCII. Raises HostNameError."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    return Origin(scheme, host_in(parts.netloc).removesuffix("."), parts.port or DEFAULT_PORTS[scheme])


def read_origin(header: str) -> Origin | None:
    """The origin in the header `Origin`; None if it is not an origin, for example `null`."""
    match = _ORIGIN.fullmatch(header)
    if match is None:
        return None
    scheme = match[1].lower()
    return Origin(scheme, _host(match[2]), int(match[3] or DEFAULT_PORTS[scheme]))


def requested_origin(host_header: str, scheme: str) -> Origin | None:
    """The origin that a request addresses, from its header `Host` and its scheme; None if the header is invalid."""
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
