"""Time zones by their IANA names."""

from zoneinfo import ZoneInfo

LOCAL_NAMES = frozenset({"localtime", "posixrules", "Factory"})
"""Names in the zone database whose zone depends on the machine."""


def zone(name: str) -> ZoneInfo | None:
    """The time zone with this IANA name; None if it is unknown or depends on the machine."""
    try:
        return ZoneInfo(name) if name not in LOCAL_NAMES else None
    except (ValueError, KeyError, OSError):  # a path, an unknown name, a folder of names
        return None
