"""Hosts of URLs as browsers understand them: UTS 46 without transitional processing, as the URL standard has it.

`straße.example` is `xn--strae-oqa.example` (IDNA 2003 made it another domain, `strasse.example`), and emoji are
allowed, which IDNA 2008 alone refuses.
"""

import re
import socket
import unicodedata
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import unquote

import idna

MOST_CHARACTERS = 253
_FORBIDDEN = re.compile(r"""[\x00-\x20"#%/:<>?@\[\\\]^`{|}\x7f]""")
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_JOINERS = "\u200c\u200d"


class HostNameError(ValueError):
    """A host that no URL can have. The text does not quote it."""

    def __init__(self) -> None:
        super().__init__("not a valid host name")


@lru_cache(maxsize=8192)
def host_name(host: str) -> str:
    """The host of a URL, without credentials and port, in the one form that DNS and comparisons need.

    Names become lower-case ASCII. IPv4 addresses are dotted decimals, however they are written (`127.1`, `0x7f000001`);
    IPv6 addresses stay in brackets, in their short form. Raises HostNameError.
    """
    if host.startswith("["):
        return _ipv6(host)
    name = host.lower() if host.isascii() and "%" not in host else _as_ascii(unquote(host))
    if _FORBIDDEN.search(name):
        raise HostNameError
    if _ENDS_IN_A_NUMBER.fullmatch(name):
        try:
            return socket.inet_ntoa(socket.inet_aton(name.removesuffix(".")))
        except OSError:  # no address: the resolver says so
            return name
    return name


def host_in(netloc: str) -> str:
    """The host of a URL's network location, which may have credentials and a port. Raises HostNameError."""
    place = netloc.rpartition("@")[2]
    return host_name(place.partition("]")[0] + "]" if place.startswith("[") else place.partition(":")[0])


def _ipv6(host: str) -> str:
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        raise HostNameError from None


def _as_ascii(name: str) -> str:
    """The labels of a name that may hold any characters, in ASCII. Not Python's `lower()` and no NFKC beforehand: the
    mapping is UTS 46's own, for which Σ is σ at the end of a word too."""
    if len(name) > MOST_CHARACTERS:
        raise HostNameError
    try:
        labels = idna.uts46_remap(name, std3_rules=False).split(".")
        right_to_left = any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for label in labels for char in label)
        return ".".join(_label(label, right_to_left) for label in labels)
    except (UnicodeError, ValueError):
        raise HostNameError from None


def _label(label: str, right_to_left: bool) -> str:
    if right_to_left and label:
        idna.check_bidi(label, check_ltr=True)
    if label.isascii():
        return label
    idna.check_initial_combiner(label)
    if not all(idna.valid_contextj(label, at) for at, char in enumerate(label) if char in _JOINERS):
        raise HostNameError
    return "xn--" + label.encode("punycode").decode()
