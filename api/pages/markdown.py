"""Renders Markdown of users as HTML: CommonMark without HTML, images and headings; links send no referrer.

The result is sanitised twice: markdown-it escapes HTML and links to http, https and mailto only, and nh3 removes all
tags and attributes that are not listed. Link reference definitions are disabled: with them 20 kB of text could become
200 MB of HTML.

Rendering is bounded: a text by a number of parser steps, a page by `PAGE_S` of CPU time. A text beyond one of the
bounds is shown as plain text. Rendered texts are cached, up to `CACHE_BYTES`.
"""

import re
import sys
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from hashlib import blake2b
from html import escape
from threading import Lock
from time import thread_time
from types import SimpleNamespace
from typing import Any, TypeVar

import nh3
from anyio import CapacityLimiter, to_thread
from markdown_it import MarkdownIt, helpers
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

TAGS = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote", "hr"}
LINK_REL = "nofollow noopener noreferrer"
MAX_CHARACTERS = 20_000
"""The limit of the longest field; longer texts are shown as plain text."""
MAX_LEVELS = 18
"""The nesting of lists, items and quotations; two less than the limit of markdown-it, which drops deeper content."""
STEPS, STEPS_PER_CHARACTER = 1000, 8
PAGE_S = 1.0
"""The CPU time for the texts of one page that are not cached."""
MAX_CONCURRENT = 2
"""Pages that are rendered at the same time; more would only compete for the interpreter lock."""
CACHE_BYTES = 32 * 1024 * 1024
_KEY_BYTES = 256
"""The approximate size of an entry without its HTML."""
Result = TypeVar("Result")
_HEADING = re.compile(r"<(/?)h[1-6]>")
_until: ContextVar[float] = ContextVar("until")
"""The CPU time of this thread at which the current page stops rendering."""


class _TooCostlyError(Exception):
    """The text takes more steps or levels than allowed."""


class HtmlCache:
    """Rendered HTML by its text, the least recently used first; thread-safe."""

    def __init__(self, max_bytes: int) -> None:
        self.bytes = 0
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def get(self, text: str) -> str | None:
        key = _key(text)
        with self._lock:
            html = self._entries.get(key)
            if html is not None:
                self._entries.move_to_end(key)
            return html

    def put(self, text: str, html: str) -> None:
        key = _key(text)
        with self._lock:
            if (replaced := self._entries.pop(key, None)) is not None:
                self.bytes -= _size(replaced)
            self._entries[key] = html
            self.bytes += _size(html)
            while self.bytes > self._max_bytes:
                self.bytes -= _size(self._entries.popitem(last=False)[1])


def _key(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _size(html: str) -> int:
    return sys.getsizeof(html) + _KEY_BYTES


def _spend(env: Any) -> None:
    env["steps"] -= 1
    if env["steps"] < 0:
        raise _TooCostlyError


def _count_inline(state: StateInline, silent: bool) -> bool:
    """An inline rule that matches nothing. It is tried at each position, and counts a step."""
    _spend(state.env)
    return False


def _count_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """A block rule that counts a step and checks the nesting."""
    if state.level >= MAX_LEVELS:
        raise _TooCostlyError
    _spend(state.env)
    return False


def _link_label(state: StateInline, start: int, disable_nested: bool = False) -> int:
    """markdown-it's parseLinkLabel with a count: for each unmatched `[` it scans the rest of the paragraph without
    trying any rule."""
    level, end, before = 1, -1, state.pos
    state.pos = start + 1
    while state.pos < state.posMax:
        _spend(state.env)
        marker = state.src[state.pos]
        if marker == "]":
            level -= 1
            if level == 0:
                end = state.pos
                break
        previous = state.pos
        state.md.inline.skipToken(state)
        if marker == "[":
            if previous == state.pos - 1:  # a bracket that begins no link
                level += 1
            elif disable_nested:
                break
    state.pos = before
    return end


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True})
    parser.disable(["image", "html_block", "html_inline", "reference"])
    own: Any = SimpleNamespace(
        parseLinkLabel=_link_label,
        parseLinkDestination=helpers.parseLinkDestination,
        parseLinkTitle=helpers.parseLinkTitle,
    )
    parser.helpers = own
    parser.inline.ruler.before("text", "count", _count_inline)
    # An alternative of every block, so that it is tried wherever a block could end.
    alternatives = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("code", "count", _count_block, alternatives)  # type: ignore[arg-type]
    return parser


_reader = _parser()
cache = HtmlCache(CACHE_BYTES)


class Renderer:
    """Renders pages in threads, `MAX_CONCURRENT` at a time. Others wait until the deadline of their request."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(MAX_CONCURRENT)

    async def run(self, make: Callable[[], Result]) -> Result:
        """Calls `make` in a thread. The Markdown in it is rendered for `PAGE_S` at most."""

        def within_time() -> Result:
            _until.set(thread_time() + PAGE_S)  # in the thread's own copy of the context
            return make()

        return await to_thread.run_sync(within_time, limiter=self._limiter)


def markdown(text: str) -> str:
    """The text as safe HTML. Headings become bold paragraphs, since the page has its own headings."""
    if not text:
        return ""
    if (html := cache.get(text)) is not None:
        return html
    if thread_time() >= _until.get(float("inf")):
        return plain(text)  # not cached, so that the next page renders it
    html = _rendered(text)
    cache.put(text, html)
    return html


def plain(text: str) -> str:
    """The escaped text with its line breaks."""
    return "<p>" + escape(text).replace("\n", "<br>\n") + "</p>\n"


def _rendered(text: str) -> str:
    if len(text) > MAX_CHARACTERS:
        return plain(text)
    try:
        html = _reader.render(text, {"steps": STEPS + STEPS_PER_CHARACTER * len(text)})
    except _TooCostlyError:
        return plain(text)
    html = _HEADING.sub(lambda found: "</strong></p>" if found[1] else "<p><strong>", html)
    return nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}, link_rel=LINK_REL
    )
