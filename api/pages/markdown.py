"""Text that people write, as HTML: CommonMark without HTML, pictures and headings; links tell nobody where from.

Two nets: markdown-it passes no HTML through and links to http, https and mailto only; nh3 then lets nothing pass that
is not on a list. No link is defined once and used often: 20 kB of text would become 200 MB of page.

Rendering is bounded. The work for one text is counted in steps of the parser; one page renders for `PAGE_S` of CPU
time. A text beyond either bound is shown as it was written. What was rendered is kept, up to `KEPT_BYTES`.
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
MOST_CHARACTERS = 20_000
"""As long as the longest field; what is longer is shown as it was written."""
MOST_LEVELS = 18
"""Of lists, their items, and quotations within one another; less by two than where markdown-it ends."""
STEPS, STEPS_PER_CHARACTER = 1000, 8
PAGE_S = 1.0
"""CPU time that one page may spend on texts that are not kept yet."""
AT_ONCE = 2
"""Pages that are rendered at the same time; more would only take turns at the interpreter lock."""
KEPT_BYTES = 32 * 1024 * 1024
_KEY_BYTES = 256
"""What an entry takes beside its HTML, about."""
Result = TypeVar("Result")
_HEADING = re.compile(r"<(/?)h[1-6]>")
_until: ContextVar[float] = ContextVar("until")
"""By the CPU time of this thread: when the page that is being made stops rendering."""


class _TooCostlyError(Exception):
    """The text takes more steps or levels than it may."""


class KeptHtml:
    """HTML by the text it was made of, least recently used first. Threads may share it."""

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

    def keep(self, text: str, html: str) -> None:
        key = _key(text)
        with self._lock:
            if (last := self._entries.pop(key, None)) is not None:
                self.bytes -= _size(last)
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
    """A rule that matches nothing and is tried at each place."""
    _spend(state.env)
    return False


def _count_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """The same for blocks. markdown-it drops what is nested too deeply."""
    if state.level >= MOST_LEVELS:
        raise _TooCostlyError
    _spend(state.env)
    return False


def _link_label(state: StateInline, start: int, disable_nested: bool = False) -> int:
    """markdown-it's parseLinkLabel, counted: each unmatched `[` walks to the end of the paragraph, over tokens that are
    known, so that no rule is tried."""
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
    # As an alternative of every block: it is tried wherever one of them could end another.
    alternatives = {"alt": ["paragraph", "reference", "blockquote", "list"]}
    parser.block.ruler.before("code", "count", _count_block, alternatives)  # type: ignore[arg-type]
    return parser


_reader = _parser()
kept = KeptHtml(KEPT_BYTES)


class Renderer:
    """Renders pages in threads, `AT_ONCE` at a time. The others wait, no longer than the requests that they are for."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(AT_ONCE)

    async def run(self, make: Callable[[], Result]) -> Result:
        """What `make` returns, from a thread. It may render Markdown, for `PAGE_S` at most."""

        def within_time() -> Result:
            _until.set(thread_time() + PAGE_S)  # in the thread's own copy of the context
            return make()

        return await to_thread.run_sync(within_time, limiter=self._limiter)


def markdown(text: str) -> str:
    """Safe HTML. Headings are bold lines: the page has its own."""
    if not text:
        return ""
    if (html := kept.get(text)) is not None:
        return html
    if thread_time() >= _until.get(float("inf")):
        return as_written(text)  # not kept: the next page goes on from here
    html = _rendered(text)
    kept.keep(text, html)
    return html


def as_written(text: str) -> str:
    """The text itself, with its line breaks."""
    return "<p>" + escape(text).replace("\n", "<br>\n") + "</p>\n"


def _rendered(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        return as_written(text)
    try:
        html = _reader.render(text, {"steps": STEPS + STEPS_PER_CHARACTER * len(text)})
    except _TooCostlyError:
        return as_written(text)
    html = _HEADING.sub(lambda found: "</strong></p>" if found[1] else "<p><strong>", html)
    return nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}, link_rel=LINK_REL
    )
