"""The certificates of servers: when to inspect them, when they expire, who issued them.

Inspecting one takes a tenth of the CPU of a TLS check (libcurl formats every field of the chain), so it is done once an
hour for each service. The fields are text from the target, which may be hostile.
"""

import re
import ssl
from datetime import UTC, datetime
from typing import Any

import pycurl

from prober.outcome import Certificate, Outcome, printable
from prober.services import Service

INSPECT_EVERY_S = 3600.0
ISSUER_LIMIT = 100
LAST_YEAR = 9998
"""Certificates that never expire end in the last second of 9999 (RFC 5280), which some time zones cannot represent."""

# One attribute of a name as OpenSSL writes it: O = "Acme, Inc.", CN = M\C3\BCller
_ATTRIBUTE = re.compile(rb'([A-Za-z0-9.]+) ?= ?("(?:\\.|[^"\\])*"|(?:\\.|[^,+\\])*)', re.DOTALL)
_ESCAPED = re.compile(rb"\\([0-9A-F]{2})|\\(.)", re.DOTALL)


class Inspection:
    """When to inspect the certificate of each service: `every_s` after the last time; at once if the target has changed
    or the last handshake failed."""

    def __init__(self, every_s: float = INSPECT_EVERY_S) -> None:
        self._every_s = every_s
        self._seen: dict[str, tuple[str, float]] = {}

    def due(self, service: Service, now: float) -> bool:
        """Whether to inspect the certificate now. `now` is loop time in seconds."""
        target, at = self._seen.get(service.id, ("", 0.0))
        return target != service.check_config.target or now >= at + self._every_s

    def note(self, service: Service, outcome: Outcome, now: float) -> None:
        """Notes the attempt that decided a check."""
        if outcome.inspected:
            self._seen[service.id] = (service.check_config.target, now)
        elif outcome.error_type == "tls_error":
            self._seen.pop(service.id, None)


def leaf(curl: Any) -> Certificate | None:
    """The certificate of the server, after a transfer with OPT_CERTINFO. None if there is none, or if its expiry date
    cannot be read."""
    chain = curl.getinfo_raw(pycurl.INFO_CERTINFO)
    return certificate(dict(field for field in chain[0] if len(field) == 2)) if chain else None


def certificate(fields: dict[bytes, bytes]) -> Certificate | None:
    """The certificate with these fields of libcurl; None if the expiry date cannot be read."""
    expires_at = _moment(fields.get(b"Expire date", b""))
    return Certificate(expires_at, _organisation(fields.get(b"Issuer", b""))) if expires_at else None


def _moment(stated: bytes) -> datetime | None:
    try:
        seconds = ssl.cert_time_to_seconds(stated.decode("ascii"))
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return moment if 1970 <= moment.year <= LAST_YEAR else None


def _organisation(name: bytes) -> str | None:
    """The organisation (O) of a distinguished name, or else its common name (CN)."""
    attributes: dict[bytes, bytes] = {}
    for found in _ATTRIBUTE.finditer(name):
        attributes.setdefault(found[1].upper(), found[2].strip())
    value = attributes.get(b"O") or attributes.get(b"CN") or b""
    plain = _ESCAPED.sub(_unescaped, value.removeprefix(b'"').removesuffix(b'"') if value[:1] == b'"' else value)
    return printable(plain.decode("utf-8", "replace"))[:ISSUER_LIMIT] or None


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes.fromhex(found[1].decode()) if found[1] else found[2]
