"""Success, severity and error type: what one attempt means for the service. Pure.

What a check type expects of a response is judged in its own module.
"""

from typing import Literal

import msgspec

from prober.outcome import Outcome, printable
from prober.services import ErrorType

Severity = Literal["o", "po", "mo"]


class Judgement(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one attempt. `severity`: `o` good, `po` good but slow, `mo` failed."""

    success: bool
    severity: Severity
    error_type: ErrorType | None = None
    error_message: str | None = None


_GOOD = Judgement(True, "o")
_SLOW = Judgement(True, "po")


def failed(error_type: ErrorType, message: str) -> Judgement:
    return Judgement(False, "mo", error_type, printable(message))


def error(outcome: Outcome) -> Judgement | None:
    """The verdict where no response came that could be judged."""
    if outcome.error_type is None:
        return None
    return failed(outcome.error_type, outcome.error_message or outcome.error_type)


def good(outcome: Outcome, degraded_after_ms: int) -> Judgement:
    """The verdict on a response that is as expected."""
    return _SLOW if outcome.total_ms > degraded_after_ms else _GOOD
