"""The verdict on one attempt: success, severity and error type. Pure functions.

The expectations of a check type are judged in the module of the type.
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
    """The verdict on an attempt without a response; None if there is a response to judge."""
    if outcome.error_type is None:
        return None
    return failed(outcome.error_type, outcome.error_message or outcome.error_type)


def good(outcome: Outcome, degraded_after_ms: int) -> Judgement:
    """The verdict on a response that meets the expectations: good, or good but slow."""
    return _SLOW if outcome.total_ms > degraded_after_ms else _GOOD
