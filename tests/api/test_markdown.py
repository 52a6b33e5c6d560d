"""What people write becomes HTML that does nothing but show it."""

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.markdown import REMEMBERED_CHARACTERS, TAGS, _remembered, markdown


class Seen(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attributes


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and *soft*", "<p><strong>bold</strong> and <em>soft</em></p>\n"),
        ("one\ntwo", "<p>one<br>\ntwo</p>\n"),
        ("- a\n- b", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n"),
        ("# Title", "<p><strong>Title</strong></p>\n"),
        ("Title\n===", "<p><strong>Title</strong></p>\n"),
        ("`<b>`", "<p><code>&lt;b&gt;</code></p>\n"),
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>\n"),
        (
            "[log](https://example.com/a)",
            '<p><a href="https://example.com/a" rel="nofollow noopener noreferrer">log</a></p>\n',
        ),
        ("", ""),
    ],
)
def test_what_can_be_written(text: str, html: str) -> None:
    assert markdown(text) == html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](  JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x)",
        "<javascript:alert(1)>",
        "![x](http://evil.example/pixel.png)",
        '[x](https://a.example "onclick=alert(1)")',
        "[x]: javascript:alert(1)\n[x]",
        "<a href='https://x' onclick='y'>z</a>",
        "<style>*{display:none}</style>",
        '```"><script>alert(1)</script>\nx\n```',
        "[a](/logout)",
        "<svg/onload=alert(1)>",
    ],
)
def test_nothing_is_run_and_nothing_is_loaded(text: str) -> None:
    seen = Seen(markdown(text))
    assert seen.tags <= TAGS
    assert {name for name, _ in seen.attributes} <= {"href", "rel", "title"}
    for name, value in seen.attributes:
        assert name in ("rel", "title") or (value or "").startswith(("http://", "https://", "mailto:", "/")), value


@given(st.text(alphabet=st.sampled_from("<>[]()\"'`*_#!&;:/\\ \nascriptjonle=0x-")))
def test_whatever_is_written_only_known_tags_come_out(text: str) -> None:
    seen = Seen(markdown(text))
    assert seen.tags <= TAGS
    assert {name for name, _ in seen.attributes} <= {"href", "rel", "title"}


def test_long_texts_are_not_remembered() -> None:
    markdown("short")
    before = _remembered.cache_info()
    assert markdown("x" * (REMEMBERED_CHARACTERS + 1)) == f"<p>{'x' * (REMEMBERED_CHARACTERS + 1)}</p>\n"
    assert _remembered.cache_info() == before
