"""Content negotiation by the Accept headers of RFC 9110: weighted lists such as `ko, en;q=0.8`."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from sla_monitor.texts.languages import DEFAULT, LANGUAGES, Language

MAX_HEADER_CHARACTERS = 500
_GZIP = ("gzip", "x-gzip")


def weighted(header: str) -> Iterator[tuple[str, float]]:
    """The entries of a weighted list in lower case, with their weights from 0 to 1. Entries with any other weight are
    skipped."""
    for part in header.split(","):
        name, *parameters = (word.strip().lower() for word in part.split(";"))
        weight = next((word.removeprefix("q=") for word in parameters if word.startswith("q=")), "1")
        try:
            quality = float(weight)
        except ValueError:
            continue
        if name and 0 <= quality <= 1:
            yield name, quality


def accepts_gzip(header: bytes) -> bool:
    """Whether the Accept-Encoding header accepts gzip."""
    if b"gzip" not in header:
        return False
    return b";" not in header or any(name in _GZIP and weight for name, weight in weighted(header.decode("latin-1")))


def accepts_html(scope: Mapping[str, Any]) -> bool:
    """Whether the Accept header names text/html, as browsers send it."""
    return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])


def negotiated(accepted: str, chosen: str = "") -> Language:
    """The language of a page: the chosen one, else the best known one of Accept-Language, else the default."""
    for language in LANGUAGES:
        if chosen == language:
            return language
    return _preferred(accepted[:MAX_HEADER_CHARACTERS])


@lru_cache(maxsize=1024)
def _preferred(accepted: str) -> Language:
    wanted: list[tuple[float, Language]] = []
    for tag, quality in weighted(accepted):
        primary = tag.partition("-")[0]
        wanted += [(quality, language) for language in LANGUAGES if language == primary and quality]
    return max(wanted, key=lambda found: found[0])[1] if wanted else DEFAULT
