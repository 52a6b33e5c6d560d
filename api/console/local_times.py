"""Local times of forms, such as `2026-11-24T14:02` in Asia/Seoul, and the moments that they stand for.

When clocks are set forward, some local times are skipped; when they are set back, some occur twice. Both are errors
unless the user has chosen one of the two moments.
"""

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

Wrong = Literal["unreadable", "skipped", "twice"]
Which = Literal["", "first", "second"]
"""Which of the two moments of a local time that occurs twice; empty for all other times."""


class LocalTimeError(ValueError):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong)
        self.wrong = wrong


def moment_at(text: str, zone: ZoneInfo, which: str = "") -> datetime:
    """The moment of the local time `text` in `zone`. Raises LocalTimeError if there is none, or if there are two and
    `which` is neither `first` nor `second`."""
    try:
        local = datetime.fromisoformat(text)
        if local.tzinfo is not None:
            raise LocalTimeError("unreadable")
        moments = {local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    except (ValueError, OverflowError):
        raise LocalTimeError("unreadable") from None
    shown = sorted(moment for moment in moments if moment.astimezone(zone).replace(tzinfo=None, fold=0) == local)
    if not shown:
        raise LocalTimeError("skipped")
    if len(shown) == 1:
        return shown[0]
    if which not in ("first", "second"):
        raise LocalTimeError("twice")
    return shown[which == "second"]


def written(moment: datetime, zone: ZoneInfo) -> str:
    """The local time as a form field takes it; seconds are left out if they are 0."""
    local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
    return local.isoformat(timespec="seconds" if local.second else "minutes")


def which(moment: datetime, zone: ZoneInfo) -> Which:
    """Whether `moment` is the first or the second with its local time; empty if there is only one."""
    local = moment.astimezone(zone)
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    return "second" if local.fold else "first"
