"""The YAML reader and writer: JSON values only, within bounds."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sla_monitor.formats.yaml_documents import MAX_BYTES, MAX_DOCUMENTS, YamlError, read_documents, write_documents

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20) | st.from_regex(
    r"[-+]?[0-9._:eExob]{1,8}|yes|no|on|~|null|True|2026-01-01( 00:00:00)?|=|<<", fullmatch=True
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.lists(VALUES.filter(lambda value: value is not None), max_size=3))
def test_values_are_read_as_they_were_written(documents: list[Any]) -> None:
    written = write_documents(documents).encode()
    assert read_documents(written) == documents


@given(st.lists(TEXTS, min_size=1, max_size=3))
def test_other_readers_take_no_text_for_something_else(texts: list[str]) -> None:
    assert yaml.safe_load(write_documents([texts])) == texts


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: yes", {"a": "yes"}),
        ("a: 2026-01-01 00:00:00", {"a": "2026-01-01 00:00:00"}),
        ("a: 12:30:00", {"a": "12:30:00"}),
        ("a: 0o17", {"a": "0o17"}),
        ("a: 010", {"a": 10}),
        ("a: 1e3", {"a": 1000.0}),
        ("a:", {"a": None}),
        ("a: |\n  b\n  c\n", {"a": "b\nc\n"}),
        ("\ufeffa: 1 # comment", {"a": 1}),
    ],
)
def test_scalars(text: str, value: Any) -> None:
    assert read_documents(text.encode()) == [value]


def test_empty_documents_are_left_out() -> None:
    assert read_documents(b"---\n---\na: 1\n---\n...\n") == [{"a": 1}]
    assert read_documents(b"") == []


BOMB = "a: &a [x, x]\n" + "".join(f"b{n}: &b{n} [*{'a' if n == 0 else f'b{n - 1}'}, *a]\n" for n in range(30))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (BOMB.encode(), "line 2: aliases are not allowed"),
        (b"a: &a 1\n<<: *a\n", "line 2: aliases are not allowed"),
        (b"a: !!python/object/apply:os.system [ls]\n", "line 1: tags are not allowed"),
        (b"a: !!str 1\n", "line 1: tags are not allowed"),
        (b"a: 1\na: 2\n", "line 2: the key 'a' is repeated"),
        (b"1: a\n", "line 1: a key must be a text"),
        (b"? [a]\n: b\n", "line 1: a key must be a text"),
        (b"[" * 5000, "nested too deeply"),
        (b"a: [1\n", "line 2: expected ',' or ']'"),
        (b"a: " + b"9" * 5000, "Exceeds the limit"),
        (b"a: \xff", "codec can't decode"),
        (b"a: \x01", "special characters are not allowed"),
        (b"#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
        (b"--- 1\n" * (MAX_DOCUMENTS + 1), f"more than {MAX_DOCUMENTS} documents"),
    ],
)
def test_other_content_is_refused_with_one_line(content: bytes, problem: str) -> None:
    with pytest.raises(YamlError) as refused:
        read_documents(content)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)
