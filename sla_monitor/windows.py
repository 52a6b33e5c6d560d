"""Maintenance windows: how far ahead recurring ones are stored, and which time zones they may have."""

from datetime import timedelta
from zoneinfo import ZoneInfo

AHEAD = timedelta(days=400)
"""How far ahead occurrences are stored: more than a year, so that a yearly window has at least one."""
LEAST_AHEAD = AHEAD - timedelta(days=30)
"""A window whose stored occurrences end earlier than this is extended."""
LOCAL_NAMES = frozenset({"localtime", "posixrules", "Factory"})
"""Names in the zone database whose zone depends on the machine."""


def zone(name: str) -> ZoneInfo | None:
    """The time zone with this IANA name; None if it is unknown or depends on the machine."""
    try:
        return ZoneInfo(name) if name not in LOCAL_NAMES else None
    except (ValueError, KeyError, OSError):  # a path, an unknown name, a folder of names
        return None
