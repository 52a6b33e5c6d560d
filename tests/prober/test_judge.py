"""The judgement of an HTTP outcome: severity, error type and message."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.outcome import MESSAGE_LIMIT, Outcome
from prober.probes import http_judgement as judging
from prober.probes.http_judgement import MAX_JSON_BYTES, MAX_JSON_WORK, PathMissing, json_at, judge
from prober.services import Service
from sla_monitor.checks.http import Http
from sla_monitor.checks.json_path import parse_json_path
from tests.prober.services import http_service

KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


def service(**fields: Any) -> Service:
    return http_service(id="judged", endpoint_url="http://judged.example/", **fields)


def outcome(body: bytes = b"", **fields: Any) -> Outcome:
    values: dict[str, Any] = {"status_code": 200, "total_ms": 12.0, "body": body} | fields
    return Outcome(**values)


def judged(checked: Service, observed: Outcome) -> tuple[str, str | None, str | None]:
    config = checked.check_config
    assert isinstance(config, Http)
    judgement = judge(checked, config, observed)
    assert judgement.success == (judgement.severity != "mo")
    return judgement.severity, judgement.error_type, judgement.error_message


class TestOrder:
    def test_a_good_outcome(self) -> None:
        assert judged(service(), outcome()) == ("o", None, None)

    @pytest.mark.parametrize(("total_ms", "severity"), [(3000.0, "o"), (3000.1, "po")])
    def test_an_outcome_above_the_limit_is_slow(self, total_ms: float, severity: str) -> None:
        assert judged(service(), outcome(total_ms=total_ms)) == (severity, None, None)

    def test_an_error_has_priority_over_status_and_assertions(self) -> None:
        observed = outcome(error_type="timeout", error_message="timed out", status_code=500)
        assert judged(service(keyword="x"), observed) == ("mo", "timeout", "timed out")

    def test_the_status_has_priority_over_the_assertions(self) -> None:
        expected = ("mo", "http_error", "HTTP 404, expected 200 or 204")
        assert judged(service(expected_status_codes=(200, 204), keyword="x"), outcome(status_code=404)) == expected

    def test_a_failed_outcome_is_not_slow(self) -> None:
        assert judged(service(), outcome(status_code=500, total_ms=9000.0))[0] == "mo"


class TestKeywords:
    @given(before=st.binary(max_size=20), word=st.text(min_size=1, max_size=9), after=st.binary(max_size=20))
    def test_a_keyword_is_found_among_any_bytes(self, before: bytes, word: str, after: bytes) -> None:
        try:
            body = before + word.encode() + after
        except UnicodeEncodeError:
            return
        observed = outcome(body, content_type="text/plain; charset=utf-8")
        assert judged(service(keyword=word), observed)[0] == "o"
        assert judged(service(keyword_absent=word), observed)[1] == "assertion_failed"

    def test_every_assertion_on_an_undecodable_body_fails(self) -> None:
        observed = outcome(undecodable="cut short", truncated=True)
        for checked in (service(keyword="a"), service(keyword_absent="a"), service(json_path="$")):
            assert judged(checked, observed) == ("mo", "assertion_failed", "cut short")

    def test_the_message_names_the_keyword(self) -> None:
        assert judged(service(keyword="세계"), outcome(b"hello"))[2] == 'the response does not contain "세계"'
        assert judged(service(keyword_absent="down"), outcome(b"down"))[2] == 'the response contains "down"'

    def test_the_message_mentions_a_truncated_body(self) -> None:
        message = judged(service(keyword="end"), outcome(b"begin", truncated=True))[2]
        assert message == 'the response does not contain "end" (only the first 5 bytes of the response were read)'

    def test_the_message_is_printable_and_has_a_limited_length(self) -> None:
        message = judged(service(keyword="\x1b[31m\u202e" * 999), outcome())[2]
        assert message is not None and len(message) <= MESSAGE_LIMIT and message.isprintable()


class TestJsonPath:
    @pytest.mark.parametrize(
        ("path", "steps"),
        [
            ("$", ()),
            ("$.a.b[0].c", ("a", "b", 0, "c")),
            ("$['a key'][2]", ("a key", 2)),
            ('$["it\'s"]', ("it's",)),
            ("$['']", ("",)),
            ("$.größe", ("größe",)),
        ],
    )
    def test_valid_paths(self, path: str, steps: tuple[str | int, ...]) -> None:
        assert parse_json_path(path) == steps

    @pytest.mark.parametrize(
        "path", ["", "a", "$a", "$.", "$..a", "$[-1]", "$[*]", "$[0", "$.a[?(@.b)]", "$ .a", "x$.a"]
    )
    def test_invalid_paths(self, path: str) -> None:
        with pytest.raises(ValueError, match="must be a JSON path"):
            parse_json_path(path)

    @given(document=JSON, data=st.data())
    def test_each_value_of_a_document_is_found_at_its_path(self, document: Any, data: st.DataObject) -> None:
        here, path = document, "$"
        while isinstance(here, dict | list) and here and data.draw(st.booleans()):
            if isinstance(here, list):
                step: Any = data.draw(st.integers(0, len(here) - 1))
                path += f"[{step}]"
            else:
                step = data.draw(st.sampled_from(sorted(here)))
                path += f"['{step}']"
            here = here[step]
        found = json_at(msgspec.json.encode(document), parse_json_path(path))
        assert found == (here if isinstance(here, str) else msgspec.json.encode(here).decode())

    @given(body=st.binary(max_size=60) | st.text('[]{}":,0123456789truefalsn e.-', max_size=40).map(str.encode))
    def test_any_body_is_judged_without_an_exception(self, body: bytes) -> None:
        for path in ("$", "$.a", "$[0]", "$.a[0].b"):
            assert judged(service(json_path=path, json_value="1"), outcome(body))[1] in (None, "assertion_failed")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html>", "the response is not valid JSON"),
            (b"", "the response is not valid JSON"),
            (b'{"a": 1', "the response is not valid JSON"),
            (b"\xff\xfe", "the response is not valid JSON"),
            (b'{"a": "\xff"}', "the response is not valid JSON"),
            (b"NaN", "the response is not valid JSON"),
            (b"[" * 100_000, "the JSON of the response is nested too deeply"),
            (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "the JSON of the response is nested too deeply"),
            (b"[1]", 'the response has no value at $.a: "a" needs an object'),
            (b'{"b": 1}', 'the response has no value at $.a: there is no "a"'),
        ],
    )
    def test_bodies_without_the_value(self, body: bytes, message: str) -> None:
        assert judged(service(json_path="$.a"), outcome(body)) == ("mo", "assertion_failed", message)

    @pytest.mark.parametrize(
        "text", ["1.0", "1e3", "1E400", "9" * 400, "-0", "true", "null", '{"b": [1, 2]}', "12345678901234567890123"]
    )
    def test_values_other_than_strings_compare_as_their_text(self, text: str) -> None:
        body = f'{{"a": {text} }}'.encode()
        assert judged(service(json_path="$.a", json_value=text), outcome(body))[0] == "o"

    def test_strings_compare_without_quotes(self) -> None:
        body = rb'{"state": "\u004f\nK"}'
        assert judged(service(json_path="$.state", json_value="O\nK"), outcome(body))[0] == "o"

    def test_without_a_value_the_path_must_exist(self) -> None:
        assert judged(service(json_path="$.a"), outcome(b'{"a": null}'))[0] == "o"

    def test_the_message_has_the_value(self) -> None:
        observed = outcome(b'{"state": "down"}')
        message = judged(service(json_path="$.state", json_value="up"), observed)[2]
        assert message == '$.state is "down", expected "up"'

    def test_an_index_after_the_end(self) -> None:
        with pytest.raises(PathMissing, match=r"\[3\] is after the end of the list \(length 1\)"):
            json_at(b"[1]", (3,))


def test_too_large_json_is_not_parsed() -> None:
    document = b'{"status": "ok", "filler": "' + b"x" * MAX_JSON_BYTES + b'"}'
    with pytest.raises(ValueError, match="larger than the limit of 512 KiB"):
        json_at(document, ("status",))


def test_the_work_for_a_path_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level of this document is almost as large as the document."""
    steps = 160
    document = b'{"a":' * steps + b'"' + b"x" * (MAX_JSON_BYTES - 10 * steps) + b'"' + b"}" * steps
    parsed = []

    def child(level: bytes, step: str | int) -> msgspec.Raw:
        parsed.append(len(level))
        return _child(level, step)

    _child = judging._child
    monkeypatch.setattr(judging, "_child", child)
    message = judged(service(json_path="$" + ".a" * steps), outcome(document))[2]
    assert message == "the JSON path has too many steps for a response of this size"
    assert 0 < sum(parsed) <= MAX_JSON_WORK
    assert judged(service(json_path="$" + ".a" * 5), outcome(document))[0] == "o"
    small = b'{"a":' * steps + b"1" + b"}" * steps
    assert judged(service(json_path="$" + ".a" * steps, json_value="1"), outcome(small))[0] == "o"
