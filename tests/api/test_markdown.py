"""Markdown becomes HTML with text markup and links only."""

from html.parser import HTMLParser
from secrets import token_hex
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages import markdown as module
from api.pages.markdown import MAX_CHARACTERS, TAGS, HtmlCache, Renderer, markdown, plain


class ParsedHtml(HTMLParser):
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
def test_markdown_becomes_html(text: str, html: str) -> None:
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
def test_html_runs_and_loads_nothing(text: str) -> None:
    parsed = ParsedHtml(markdown(text))
    assert parsed.tags <= TAGS
    assert {name for name, _ in parsed.attributes} <= {"href", "rel", "title"}
    for name, value in parsed.attributes:
        assert name in ("rel", "title") or (value or "").startswith(("http://", "https://", "mailto:", "/")), value


@given(st.text(alphabet=st.sampled_from("<>[]()\"'`*_#!&;:/\\ \nascriptjonle=0x-")))
def test_any_text_yields_allowed_tags_only(text: str) -> None:
    parsed = ParsedHtml(markdown(text))
    assert parsed.tags <= TAGS
    assert {name for name, _ in parsed.attributes} <= {"href", "rel", "title"}


def test_rendered_texts_of_any_length_are_cached() -> None:
    text = "*soft* " * 2000
    assert markdown(text) is markdown("".join(text)), "the very same HTML, not rendered again"


def test_the_cache_is_bounded_by_bytes() -> None:
    cache = HtmlCache(10_000)
    for number in range(100):
        cache.put(f"text {number}", "x" * 1000)
        cache.get("text 0")
    assert cache.bytes <= 10_000 and 5 <= len(cache) <= 9
    assert cache.get("text 0") is not None and cache.get("text 99") is not None, (
        "the least recently used entries are evicted"
    )
    assert cache.get("text 1") is None
    cache.put("text 99", "y")
    cache.put("too large", "z" * 20_000)
    assert cache.bytes <= 10_000 and cache.get("too large") is None


@pytest.mark.parametrize("motif", ["![", "[", "[a](", "[]", "> - ", "*_", "<a:", "`a``"])
def test_the_work_for_one_text_is_bounded(motif: str) -> None:
    """For `![` repeated the parser needed more than a second: each bracket was searched to the end of the text."""
    text = (motif * MAX_CHARACTERS)[:MAX_CHARACTERS]
    began = thread_time()
    assert markdown(text)
    assert thread_time() - began < 2


def test_a_text_that_would_take_too_long_is_shown_unrendered() -> None:
    text = "![" * 10_000
    assert markdown(text) == f"<p>{text}</p>\n"
    assert markdown("<b>\n" + text).startswith("<p>&lt;b&gt;<br>\n![")
    assert markdown("**x**" * 5000) == plain("**x**" * 5000), "longer than any field"


def test_usual_texts_of_the_maximum_length_are_rendered() -> None:
    lines = [
        "# Timeline",
        "> quoted [log](https://example.com/a?b=c) and **bold** `code` [1] *soft* <https://example.com>",
    ]
    lines += [
        "- one",
        "  - two: see [the ticket](https://example.com/1) \\[not a link\\]",
        "",
        "```",
        "[x](y) ![z]",
        "```",
        "",
    ]
    text = ("\n".join(lines) + "\n") * 80
    assert len(text) <= MAX_CHARACTERS
    assert markdown(text).count('<a href="https://example.com/1"') == 80


async def test_the_time_for_the_texts_of_a_page_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text beyond the bound is shown unrendered and rendered for the next page."""
    renderer, text = Renderer(), "**late** " + token_hex(8)
    monkeypatch.setattr(module, "PAGE_S", 0.0)
    assert await renderer.run(lambda: markdown(text)) == plain(text)
    monkeypatch.undo()
    html = await renderer.run(lambda: markdown(text))
    assert html.startswith("<p><strong>late</strong>")
    monkeypatch.setattr(module, "PAGE_S", 0.0)
    assert await renderer.run(lambda: markdown(text)) == html, "a cached text takes no time"
