"""What people write becomes HTML that does nothing but show it."""

from html.parser import HTMLParser
from secrets import token_hex
from time import thread_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages import markdown as module
from api.pages.markdown import MAX_CHARACTERS, TAGS, HtmlCache, Renderer, markdown, plain


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


def test_what_was_rendered_is_kept_however_long_it_is() -> None:
    text = "*soft* " * 2000
    assert markdown(text) is markdown("".join(text)), "the very same HTML, not rendered again"


def test_what_is_kept_is_bounded_by_bytes() -> None:
    kept = HtmlCache(10_000)
    for number in range(100):
        kept.put(f"text {number}", "x" * 1000)
        kept.get("text 0")
    assert kept.bytes <= 10_000 and 5 <= len(kept) <= 9
    assert kept.get("text 0") is not None and kept.get("text 99") is not None, "what is used stays"
    assert kept.get("text 1") is None
    kept.put("text 99", "y")
    kept.put("too large", "z" * 20_000)
    assert kept.bytes <= 10_000 and kept.get("too large") is None


@pytest.mark.parametrize("motif", ["![", "[", "[a](", "[]", "> - ", "*_", "<a:", "`a``"])
def test_the_work_for_one_text_is_bounded(motif: str) -> None:
    """`![` repeated took a second and more: each bracket walked to the end of the text."""
    text = (motif * MAX_CHARACTERS)[:MAX_CHARACTERS]
    began = thread_time()
    assert markdown(text)
    assert thread_time() - began < 2


def test_a_text_that_would_take_too_long_is_shown_as_it_wplain() -> None:
    text = "![" * 10_000
    assert markdown(text) == f"<p>{text}</p>\n"
    assert markdown("<b>\n" + text).startswith("<p>&lt;b&gt;<br>\n![")
    assert markdown("**x**" * 5000) == plain("**x**" * 5000), "longer than any field"


def test_what_people_write_is_within_the_bounds() -> None:
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


async def test_a_page_spends_so_much_time_on_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What there is no time for is shown as it was written, and rendered for the next page."""
    renderer, text = Renderer(), "**late** " + token_hex(8)
    monkeypatch.setattr(module, "PAGE_S", 0.0)
    assert await renderer.run(lambda: markdown(text)) == plain(text)
    monkeypatch.undo()
    html = await renderer.run(lambda: markdown(text))
    assert html.startswith("<p><strong>late</strong>")
    monkeypatch.setattr(module, "PAGE_S", 0.0)
    assert await renderer.run(lambda: markdown(text)) == html, "what is kept takes no time"
