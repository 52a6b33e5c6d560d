"""Moments as forms have them: a day and a clock in a named time zone, such as `2026-11-24T14:02` in Asia/Seoul.

Where a clock is put forward some times never come, and where it is put back some come twice: that is told, not guessed.
"""

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

Wrong = Literal["unreadable", "skipped", "twice"]
Which = Literal["", "first", "second"]
"""Of a time that comes twice."""


class LocalTimeError(ValueError):
    def __init__(self, wrong: Wrong) -> None:
        super().__init__(wrong)
        self.wrong = wrong


def moment_at(text: str, zone: ZoneInfo, which: str = "") -> datetime:
    """The moment at which the clocks of `zone` show `text`. Raises LocalTimeError where there is none, or two and
    nobody has said which."""
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
    """As a field of a form takes it; seconds only where there are some."""
    local = moment.astimezone(zone).replace(tzinfo=None, microsecond=0)
    return local.isoformat(timespec="seconds" if local.second else "minutes")


def which(moment: datetime, zone: ZoneInfo) -> Which:
    """Whether it is the first or the second time that the clock shows this; nothing where it comes once."""
    local = moment.astimezone(zone)
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    return "second" if local.fold else "first"
