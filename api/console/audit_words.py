"""The columns of SLA policies and corrections in the audit log, in words. Those of other objects stay as they are."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from api.console import policy_words
from sla_monitor.texts.languages import Texts

_POLICIES = frozenset(
    {*policy_words.TERMS, "valid_from", "ended", "scope", "subject", "objective_ms", "objective_share"}
)
_TIMES = frozenset({"starts_at", "ends_at", "withdrawn_at"})
_CORRECTIONS = frozenset(
    {"scope", "subject", "effect", "category", "reason", "rrule", "time_zone", "withdrawn_by", *_TIMES}
)
COLUMNS: Mapping[str, frozenset[str]] = {
    "sla-policy": _POLICIES,
    "sla-policy-version": _POLICIES,
    "correction": _CORRECTIONS,
}
"""The columns with a name in words, by the type of the object."""


def label(t: Texts, object_type: str, column: str) -> str | None:
    """The name of a column; None if it has none."""
    if column not in COLUMNS.get(object_type, ()):
        return None
    if column == "withdrawn_by":
        return t("corrections.withdrawn_by_whom")
    return t(f"corrections.{column}") if object_type == "correction" else t(f"policies.{column}")


def shown(t: Texts, object_type: str, column: str, value: Any) -> str | None:
    """A value of an audit entry, None for null. Values without words are JSON."""
    if value is None:
        return None
    if object_type == "correction":
        if column in ("effect", "category"):
            return t(f"corrections.{column}_{value}")
        if column in _TIMES:
            return t.moment(datetime.fromisoformat(value), True)
    if column in COLUMNS.get(object_type, ()):
        return policy_words.shown(t, column, value)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
