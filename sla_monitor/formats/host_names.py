"""Hosts of URLs in normal form, by the rules of the URL standard, which browsers follow: UTS 46 without transitional
processing.

`straße.example` becomes `xn--strae-oqa.example` (in IDNA 2003 it was another domain, `strasse.example`). Emoji are
allowed (IDNA 2008 alone forbids them).
"""

import re
import socket
import unicodedata
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import unquote

import idna

MAX_CHARACTERS = 253
_FORBIDDEN = re.compile(r"""[\x00-\x20"#%/:<>?@\[\\\]^`{|}\x7f]""")
_ENDS_IN_A_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)\.?")
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})
_JOINERS = "\u200c\u200d"


class HostNameError(ValueError):
    """The host of a URL is invalid. The message does not quote it."""

    def __init__(self) -> None:
        super().__init__("not a valid host name")


@lru_cache(maxsize=8192)
def host_name(host: str) -> str:
    """The normal form of a host, given without credentials and port. Raises HostNameError.

    Names become lower-case ASCII. IPv4 addresses become dotted decimals, also from forms such as `127.1` and
    `0x7f000001`. IPv6 addresses stay in brackets and get their short form.
    """
    if host.startswith("["):
        return _ipv6(host)
    name = host.lower() if host.isascii() and "%" not in host else _as_ascii(unquote(host))
    if _FORBIDDEN.search(name):
        raise HostNameError
    if _ENDS_IN_A_NUMBER.fullmatch(name):
        try:
            return socket.inet_ntoa(socket.inet_aton(name.removesuffix(".")))
        except OSError:  # not an address; the resolver will report it
            return name
    return name


def host_in(netloc: str) -> str:
    """The host in `netloc`, the part of a URL with optional credentials and port. Raises HostNameError."""
    authority = netloc.rpartition("@")[2]
    return host_name(authority.partition("]")[0] + "]" if authority.startswith("[") else authority.partition(":")[0])


def _ipv6(host: str) -> str:
    try:
        return f"[{IPv6Address(host[1:-1])}]"
    except ValueError:
        raise HostNameError from None


def _as_ascii(name: str) -> str:
    """The name with each label in ASCII. It must not pass `str.lower()` or NFKC first: UTS 46 has its own mapping, in
    which Σ at the end of a word becomes σ."""
    if len(name) > MAX_CHARACTERS:
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
