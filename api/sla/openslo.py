"""SLA policies as OpenSLO v1 documents (https://github.com/OpenSLO/OpenSLO). docs/openslo.md has the mapping of fields.

A policy is an SLO with an inline SLI whose metric source is this program. Terms without a place in OpenSLO are
annotations. A document that demands what SLA accounting does not do is refused, with the field named.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import inspect

from api.rest.errors import ApiError
from api.rest.validation import converted
from api.sla.declared_policy import DeclaredPolicy, located
from api.sla.openslo_fields import METHOD, SOURCE, VERSION, Document, Indicator, IndicatorSpec, Metadata, Sli, Slo
from api.sla.policy_fields import NewPolicy, PolicyTerms
from sla_monitor.formats.yaml_documents import write_documents

PREFIX = "policy.sla-monitor/"
"""The prefix of the annotations with terms of this program."""
_PERIODS = {"1M": "month", "1Q": "quarter", "3M": "quarter", "1Y": "year", "12M": "year"}
_DURATIONS = {"month": "1M", "quarter": "1Q", "year": "1Y"}
_MONTHS = {"month": 1, "quarter": 3, "year": 12}
_ROLLING = re.compile("([1-9][0-9]{0,3})([dw])")
_START = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ T]00:00:00)?")
_NAME = re.compile("[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_OBJECTIVE = "spec.objectives[0]"
_WINDOW = "spec.timeWindow[0]"
_SOURCE_SPEC = "spec.indicator.spec.ratioMetric.raw.metricSource.spec"
_ELSEWHERE = frozenset({"scope", "subject", "name", "target", "period", "rollingDays"})


def _is_text(kind: inspect.Type) -> bool:
    match kind:
        case inspect.Metadata():
            return _is_text(kind.type)
        case inspect.UnionType():
            return any(_is_text(one) for one in kind.types)
        case inspect.LiteralType():
            return all(isinstance(value, str) for value in kind.values)
    return isinstance(kind, inspect.StrType | inspect.DateType)


_FIELDS = inspect.type_info(NewPolicy)
assert isinstance(_FIELDS, inspect.StructType)
ANNOTATED: Mapping[str, bool] = {
    field.encode_name: _is_text(field.type) for field in _FIELDS.fields if field.encode_name not in _ELSEWHERE
}
"""The terms that can be annotations, and whether each is a text. The value of another one is JSON."""


def terms_of(scope: str, subject: str | None, terms: PolicyTerms) -> dict[str, Any]:
    """The body of POST /api/sla/policies for a policy with these terms."""
    body = {"scope": scope, "subject": subject, **msgspec.to_builtins(terms)}
    return {
        name: body[name] for name in ("scope", "subject", "name", *ANNOTATED, *_ELSEWHERE) if body[name] is not None
    }


def write(policies: Sequence[Mapping[str, Any]]) -> str:
    """The policies, each a body of POST /api/sla/policies with all terms, as YAML: for each a Service and an SLO."""
    return write_documents([document for body in policies for document in _documents(body)])


def _documents(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    scope, subject = body["scope"], body.get("subject")
    title, key = subject or "All services", subject or "all-services"
    name = _name(key, f"{scope}-")
    service = _name(key) if scope in ("service", "everything") else name
    annotated = {term: body[term] for term in ANNOTATED if term in body}
    window: dict[str, Any] = {"duration": f"{body.get('rollingDays')}d", "isRolling": True}
    if body["period"] != "rolling":
        start = f"{_first_day(body['period'], date.fromisoformat(body['validFrom']))} 00:00:00"
        calendar = {"startTime": start, "timeZone": annotated.pop("timeZone")}
        window = {"duration": _DURATIONS[body["period"]], "isRolling": False, "calendar": calendar}
    source = {"type": SOURCE, "spec": {"scope": scope, **({} if subject is None else {"subject": subject})}}
    indicator = {
        "metadata": {"name": name},
        "spec": {"ratioMetric": {"counter": False, "rawType": "success", "raw": {"metricSource": source}}},
    }
    annotations = {
        PREFIX + term: value if ANNOTATED[term] else msgspec.json.encode(value).decode()
        for term, value in annotated.items()
    }
    target = float(Decimal(repr(body["target"])) / 100)
    spec = {
        "service": service,
        "indicator": indicator,
        "timeWindow": [window],
        "budgetingMethod": METHOD,
        "objectives": [{"target": target, "timeSliceWindow": "1m"}],
    }
    header = {"name": name, "displayName": body["name"], "annotations": annotations}
    return (
        {"apiVersion": VERSION, "kind": "Service", "metadata": {"name": service, "displayName": title}, "spec": {}},
        {"apiVersion": VERSION, "kind": "SLO", "metadata": header, "spec": spec},
    )


def _name(text: str, prefix: str = "") -> str:
    """`text` as a name of OpenSLO: a label of at most 63 characters. A hash keeps the names of other texts apart."""
    if _NAME.fullmatch(text) and len(text) <= 40:
        return prefix + text
    words = re.sub("[^a-z0-9]+", "-", text.lower())[:30].strip("-")
    return f"{prefix}{words}-{sha256(text.encode()).hexdigest()[:8]}".strip("-")


def _first_day(period: str, day: date) -> date:
    """The first day of the month, quarter or year with `day`."""
    months = _MONTHS[period]
    return day.replace(month=(day.month - 1) // months * months + 1, day=1)


def read(documents: Sequence[Any]) -> tuple[list[DeclaredPolicy], list[str]]:
    """The policies of the SLOs in the documents, and the problems of all documents, each with its path."""
    policies, problems = [], []
    indicators: dict[str, IndicatorSpec] = {}
    slos = []
    for number, document in enumerate(documents):
        place = f"documents[{number}]"
        try:
            kind = converted(document, Document).kind
            if kind == "SLI":
                sli = converted(document, Sli)
                indicators[sli.metadata.name] = sli.spec
            elif kind == "SLO":
                slos.append((place, converted(document, Slo)))
        except ApiError as error:
            problems += located(error.details, place)
    for place, slo in slos:
        body, paths, found = _body(slo, indicators)
        try:
            policy = DeclaredPolicy(place, converted(body, NewPolicy), paths)
        except ApiError as error:
            found += located(error.details, place, paths)
        else:
            policies.append(policy)
        problems += [f"{place}.{text}" if not text.startswith(place) else text for text in found]
    return policies, problems


def _body(slo: Slo, indicators: Mapping[str, IndicatorSpec]) -> tuple[dict[str, Any], dict[str, str], list[str]]:
    """The body of POST /api/sla/policies for an SLO, where its fields are in the document, and problems."""
    spec = slo.spec
    named = "name" if slo.metadata.display_name is None else "displayName"
    body: dict[str, Any] = {"name": slo.metadata.display_name or slo.metadata.name}
    paths = {"name": f"metadata.{named}", "target": f"{_OBJECTIVE}.target", "rollingDays": f"{_WINDOW}.duration"}
    paths |= {"scope": f"{_SOURCE_SPEC}.scope", "subject": f"{_SOURCE_SPEC}.subject", "period": f"{_WINDOW}.duration"}
    found = _read_annotations(slo.metadata, body, paths)
    found += _read_window(slo, body, paths)
    found += _read_target(slo, body, paths)
    if (indicator := _indicator(spec.indicator, spec.indicator_ref, indicators)) is None:
        field = "indicator" if spec.indicator_ref is None or spec.indicator is not None else "indicatorRef"
        return body, paths, [*found, f"spec.{field}: either indicator, or the name of an SLI in this file is required"]
    source = indicator.ratio_metric.raw.metric_source.spec
    body["scope"] = source.scope
    if source.scope != "everything" and source.subject is None:
        body["subject"], paths["subject"] = spec.service, "spec.service"
    elif source.subject is not None:
        body["subject"] = source.subject
    return body, paths, found


def _indicator(
    inline: Indicator | None, name: str | None, indicators: Mapping[str, IndicatorSpec]
) -> IndicatorSpec | None:
    """The SLI of an SLO; None unless it has exactly one."""
    if inline is not None:
        return inline.spec if name is None else None
    return indicators.get(name) if name is not None else None


def _read_annotations(metadata: Metadata, body: dict[str, Any], paths: dict[str, str]) -> list[str]:
    """Adds the terms of the annotations to the body. Annotations of other programs are ignored."""
    found = []
    for key, text in metadata.annotations.items():
        if not key.startswith(PREFIX):
            continue
        term, path = key.removeprefix(PREFIX), f"metadata.annotations.{key}"
        if term not in ANNOTATED:
            found.append(f"{path}: no such term")
            continue
        paths[term] = path
        try:
            body[term] = text if ANNOTATED[term] else msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError):
            found.append(f"{path}: is not JSON")
    return found


def _read_window(slo: Slo, body: dict[str, Any], paths: dict[str, str]) -> list[str]:
    """Adds the period and its time zone to the body."""
    [window] = slo.spec.time_window
    if window.is_rolling:
        match = _ROLLING.fullmatch(window.duration)
        if match is None:
            return [f"{_WINDOW}.duration: a rolling window has days or weeks, such as 30d"]
        body |= {"period": "rolling", "rollingDays": int(match[1]) * (7 if match[2] == "w" else 1)}
        return [] if window.calendar is None else [f"{_WINDOW}.calendar: a rolling window has no calendar"]
    period = _PERIODS.get(window.duration)
    if period is None:
        return [f"{_WINDOW}.duration: a window of the calendar has one of {', '.join(_PERIODS)}"]
    if window.calendar is None:
        return [f"{_WINDOW}.calendar: is required"]
    body["period"] = period
    found = []
    if "timeZone" in body:
        found.append(f"{paths['timeZone']}: the time zone of the calendar applies")
    body["timeZone"], paths["timeZone"] = window.calendar.time_zone, f"{_WINDOW}.calendar.timeZone"
    if not _begins(period, window.calendar.start_time):
        found.append(f"{_WINDOW}.calendar.startTime: must be 00:00:00 on the first day of a {period}")
    return found


def _begins(period: str, start_time: str) -> bool:
    """Whether the text is the midnight at which a period begins."""
    match = _START.fullmatch(start_time)
    try:
        day = date.fromisoformat(match[1]) if match is not None else None
    except ValueError:
        return False
    return day is not None and _first_day(period, day) == day


def _read_target(slo: Slo, body: dict[str, Any], paths: dict[str, str]) -> list[str]:
    """Adds the target to the body. Decimal keeps 0.999 exactly 99.9 %."""
    [objective] = slo.spec.objectives
    if (objective.target is None) == (objective.target_percent is None):
        body["target"] = 100.0  # this one problem is enough
        return [f"{_OBJECTIVE}.target: either target or targetPercent is required"]
    if objective.target is not None:
        body["target"] = float(Decimal(repr(objective.target)) * 100)
    else:
        body["target"], paths["target"] = objective.target_percent, f"{_OBJECTIVE}.targetPercent"
    return []
