"""How far ahead recurring windows are written, and the zones that their times may be in."""

from datetime import timedelta
from zoneinfo import ZoneInfo

AHEAD = timedelta(days=400)
"""How far occurrences are written; a little more than a year, so that every yearly one is."""
LEAST_AHEAD = AHEAD - timedelta(days=30)
LOCAL_NAMES = frozenset({"localtime", "posixrules", "Factory"})
"""Names that a system gives to a zone of its own choice."""


def zone(name: str) -> ZoneInfo | None:
    """A time zone by its IANA name."""
    try:
        return ZoneInfo(name) if name not in LOCAL_NAMES else None
    except (ValueError, KeyError, OSError):  # a name that is a path, is unknown, is a folder of names
        return None
