"""OpenSLO documents and sla.toml: a policy is read as it was written. What cannot be honoured is refused by name."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from api.rest.declared_files import DeclarationError
from api.rest.errors import ApiError
from api.rest.validation import converted
from api.sla import openslo
from api.sla.declared_policy import DeclaredPolicy
from api.sla.policy_fields import NewPolicy
from api.sla.policy_files import parse, write_toml
from sla_monitor.formats.one_line import fits_one_line
from sla_monitor.formats.yaml_documents import write_documents
from tests.sla.policy_bodies import bodies

YAML = Path("slo.yaml")
TOML = Path("sla.toml")
BODIES = st.lists(bodies(), max_size=3, unique_by=lambda body: (body["scope"], body.get("subject")))
SLO = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: shop, displayName: Shop}
spec:
  service: shop
  indicator:
    metadata: {name: shop}
    spec: {ratioMetric: {rawType: success, raw: {metricSource: {type: sla-monitor}}}}
  timeWindow: [{duration: 30d, isRolling: true}]
  budgetingMethod: RatioTimeslices
  objectives: [{target: 0.999}]
"""
CALENDAR = "{duration: 1M, calendar: {startTime: 2026-01-01 00:00:00, timeZone: Asia/Seoul}}"
WINDOW = "{duration: 30d, isRolling: true}"


def policies(path: Path, text: str) -> list[NewPolicy]:
    return [one.policy for one in parse(path, text.encode())]


@given(BODIES)
def test_a_policy_is_read_from_openslo_as_it_was_written(written: list[dict[str, Any]]) -> None:
    assert policies(YAML, openslo.write(written)) == msgspec.convert(written, list[NewPolicy])


@given(BODIES)
def test_a_policy_is_read_from_toml_as_it_was_written(written: list[dict[str, Any]]) -> None:
    assert policies(TOML, write_toml(written)) == msgspec.convert(written, list[NewPolicy])


@given(BODIES)
def test_written_documents_keep_the_rules_of_openslo(written: list[dict[str, Any]]) -> None:
    documents = list(yaml.safe_load_all(openslo.write(written)))
    services = [one["metadata"]["name"] for one in documents if one["kind"] == "Service"]
    slos = [one for one in documents if one["kind"] == "SLO"]
    names = [one["metadata"]["name"] for one in slos]
    assert len(slos) == len(written)
    assert len(set(names)) == len(names), "an object is identified by kind and name"
    assert [one["spec"]["service"] for one in slos] == services
    for name in [*services, *names]:  # a label as in RFC 1123
        assert 1 <= len(name) <= 63
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
        assert name[0] != "-" and name[-1] != "-"
    for one in slos:
        assert all(isinstance(value, str) for value in one["metadata"]["annotations"].values())


def test_the_defaults_are_those_of_rest() -> None:
    [policy] = policies(YAML, SLO)
    body = {"scope": "service", "subject": "shop", "name": "Shop", "target": 99.9, "period": "rolling"}
    assert policy == msgspec.convert({**body, "rollingDays": 30}, NewPolicy)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("target: 0.999", "targetPercent: 99.9", {}),
        ("target: 0.999", "target: 0.9995, timeSliceWindow: 5, displayName: x", {"target": 99.95}),
        ("target: 0.999", "target: 0.999999", {"target": 99.9999}),
        ("30d", "4w", {"rollingDays": 28}),
        (WINDOW, CALENDAR, {"period": "month", "rollingDays": None, "timeZone": "Asia/Seoul"}),
        (WINDOW, CALENDAR.replace("1M", "1Q"), {"period": "quarter", "rollingDays": None, "timeZone": "Asia/Seoul"}),
        (WINDOW, CALENDAR.replace("1M", "1Y"), {"period": "year", "rollingDays": None, "timeZone": "Asia/Seoul"}),
        (", displayName: Shop", "", {"name": "shop"}),
        (
            "type: sla-monitor",
            "type: sla-monitor, spec: {scope: tag, subject: a b}",
            {"scope": "tag", "subject": "a b"},
        ),
        ("type: sla-monitor", "type: sla-monitor, spec: {scope: everything}", {"scope": "everything", "subject": None}),
        ("displayName: Shop", "displayName: Shop, annotations: {other/x: y}, labels: {team: [a]}", {}),
        (
            "displayName: Shop",
            "displayName: Shop, annotations: {policy.sla-monitor/degradedWeight: '0.5'}",
            {"degradedWeight": 0.5},
        ),
        ("  budgeting", "  description: x\n  alertPolicies: []\n  budgeting", {}),
    ],
)
def test_what_is_read(old: str, new: str, expected: dict[str, Any]) -> None:
    assert old in SLO
    [policy] = policies(YAML, SLO.replace(old, new))
    body = {"scope": "service", "subject": "shop", "name": "Shop", "target": 99.9, "period": "rolling"}
    wanted = {**body, "rollingDays": 30, **expected}
    assert policy == msgspec.convert({name: value for name, value in wanted.items() if value is not None}, NewPolicy)


OBJECTIVE = "spec.objectives[0]"
RATIO = "spec.indicator.spec.ratioMetric"
TERM = "policy.sla-monitor/"
NOTE = "displayName: Shop, annotations: "


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("RatioTimeslices", "Occurrences", "spec.budgetingMethod: must be one of RatioTimeslices"),
        ("RatioTimeslices", "Timeslices", "spec.budgetingMethod: must be one of RatioTimeslices"),
        ("openslo/v1", "openslo/v2", "apiVersion: must be one of openslo/v1"),
        ("kind: SLO", "kind: AlertPolicy", "kind: must be one of "),
        ("  service: shop\n", "", "spec.service: is required"),
        ("type: sla-monitor", "type: Prometheus", f"{RATIO}.raw.metricSource.type: must be one of sla-monitor"),
        ("rawType: success", "rawType: failure", f"{RATIO}.rawType: must be one of success"),
        ("rawType: success", "rawType: success, good: {}", f"{RATIO}.good: is not a known field"),
        ("ratioMetric:", "thresholdMetric:", "spec.indicator.spec.thresholdMetric: is not a known field"),
        (
            "  indicator:",
            "  indicatorRef: shop\n  indicator:",
            "spec.indicator: either indicator, or the name of an SLI",
        ),
        ("{target: 0.999}", "{}", f"{OBJECTIVE}.target: either target or targetPercent is required"),
        ("target: 0.999", "target: 0.9, targetPercent: 90", f"{OBJECTIVE}.target: either target or targetPercent"),
        ("target: 0.999", "target: 99.9", f"{OBJECTIVE}.target: must be a percentage"),
        ("target: 0.999", "targetPercent: 0", f"{OBJECTIVE}.targetPercent: must be a percentage"),
        ("target: 0.999", "target: 0.9999999", f"{OBJECTIVE}.target: "),
        ("target: 0.999", "target: 0.999, op: lte", f"{OBJECTIVE}.op: is not a known field"),
        ("target: 0.999", "target: 0.999, timeSliceTarget: 0.9", f"{OBJECTIVE}.timeSliceTarget: is not a known field"),
        ("[{target: 0.999}]", "[{target: 0.999}, {target: 0.99}]", "spec.objectives: "),
        (WINDOW, "", "spec.timeWindow: "),
        ("30d", "1M", "spec.timeWindow[0].duration: a rolling window has days or weeks"),
        ("30d", "400d", "spec.timeWindow[0].duration: must be 366 or less"),
        (WINDOW, CALENDAR.replace("1M", "1w"), "spec.timeWindow[0].duration: a window of the calendar has one of 1M, "),
        (WINDOW, "{duration: 1M}", "spec.timeWindow[0].calendar: is required"),
        (
            WINDOW,
            CALENDAR.replace("duration: 1M", "duration: 7d, isRolling: true"),
            "spec.timeWindow[0].calendar: a roll",
        ),
        (WINDOW, CALENDAR.replace("01-01", "01-02"), "spec.timeWindow[0].calendar.startTime: must be 00:00:00 on the "),
        (WINDOW, CALENDAR.replace("1M", "1Q").replace("01-01", "02-01"), "calendar.startTime: must be 00:00:00 on the"),
        (WINDOW, CALENDAR.replace("00:00:00", "09:00:00"), "spec.timeWindow[0].calendar.startTime: "),
        (WINDOW, CALENDAR.replace("2026-01-01", "2026-02-30"), "spec.timeWindow[0].calendar.startTime: "),
        (WINDOW, CALENDAR.replace("Asia/Seoul", "Mars"), "spec.timeWindow[0].calendar.timeZone: "),
        ("  budgeting", "  alertPolicies: [{}]\n  budgeting", "spec.alertPolicies: "),
        (
            "displayName: Shop",
            NOTE + "{policy.sla-monitor/colour: x}",
            f"metadata.annotations.{TERM}colour: no such term",
        ),
        (
            "displayName: Shop",
            NOTE + "{policy.sla-monitor/target: '1'}",
            f"metadata.annotations.{TERM}target: no such term",
        ),
        ("displayName: Shop", NOTE + "{policy.sla-monitor/degradedWeight: x}", f"{TERM}degradedWeight: is not JSON"),
        ("displayName: Shop", NOTE + "{policy.sla-monitor/degradedWeight: '2'}", f"{TERM}degradedWeight: must be "),
        ("displayName: Shop", NOTE + "{policy.sla-monitor/quorum: number}", "quorumLocations: "),
        (
            "displayName: Shop",
            NOTE + "{policy.sla-monitor/serviceHours: '[]'}",
            f"{TERM}serviceHours: must not be empty",
        ),
        ("displayName: Shop", 'displayName: "a\\nb"', "metadata.displayName: "),
        ("type: sla-monitor", "type: sla-monitor, spec: {scope: planet}", "metricSource.spec.scope: must be one of "),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(old: str, new: str, problem: str) -> None:
    assert old in SLO
    with pytest.raises(DeclarationError) as refused:
        parse(YAML, SLO.replace(old, new).encode())
    assert str(refused.value).startswith("slo.yaml: documents[0].")
    assert problem in str(refused.value)


def test_problems_of_all_documents_are_named() -> None:
    broken = SLO.replace("0.999", "2").replace("displayName: Shop", "displayName: ''")
    with pytest.raises(DeclarationError) as refused:
        parse(YAML, f"{SLO}---\n{broken}---\n{SLO}---\nkind: SLO\n".encode())
    text = str(refused.value)
    for part in (
        "documents[1].",
        "documents[3].apiVersion: is required",
        "documents[2].spec.service: documents[0] is for",
    ):
        assert part in text


def test_an_sli_of_the_file_can_be_named() -> None:
    source = (
        "ratioMetric: {rawType: success, raw: {metricSource: {type: sla-monitor, spec: {scope: group, subject: G}}}}"
    )
    sli = f"apiVersion: openslo/v1\nkind: SLI\nmetadata: {{name: g}}\nspec: {{{source}}}\n"
    service = "apiVersion: openslo/v1\nkind: Service\nmetadata: {name: shop}\nspec: {description: x}\n"
    start, end = SLO.index("  indicator:"), SLO.index("  timeWindow")
    slo = SLO[:start] + "  indicatorRef: g\n" + SLO[end:]
    [policy] = policies(YAML, f"{service}---\n{slo}---\n{sli}")
    assert (policy.scope, policy.subject) == ("group", "G")
    with pytest.raises(DeclarationError, match=r"documents\[0\]\.spec\.indicatorRef: "):
        parse(YAML, slo.encode())


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2))


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A document in which one value is replaced, removed or added."""
    annotated = "displayName: Shop, annotations: {policy.sla-monitor/unknown: up}"
    document = yaml.safe_load(SLO.replace("displayName: Shop", annotated))
    place = document
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
            break
        place = place[key]
    change = draw(st.sampled_from(("replace", "remove", "add")))
    if change == "remove":
        del place[key]
    elif change == "replace" or isinstance(place, list):
        place[key] = draw(VALUES)
    else:
        place[draw(st.text(min_size=1))] = draw(VALUES)
    return document


@given(mutated() | VALUES)
def test_any_document_is_read_or_refused_in_one_line(document: Any) -> None:
    try:
        parse(YAML, write_documents([document]).encode())
    except DeclarationError as error:
        assert fits_one_line(str(error))


@given(st.dictionaries(st.sampled_from([*NewPolicy.__struct_encode_fields__, "x.y"]), VALUES, max_size=6))
def test_any_body_is_read_or_refused_with_its_fields(table: dict[str, Any]) -> None:
    body = {"scope": "everything", "name": "Standard", "target": 99.9, **table}
    try:
        policy = converted(body, NewPolicy)
    except ApiError as error:
        assert error.details
    else:
        assert all(text.startswith("policies[0].") for text in DeclaredPolicy("policies[0]", policy).problems())
