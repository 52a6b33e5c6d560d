"""What a page is made of, as far as a text in it could change that."""

import json
import re
from collections import Counter
from html.parser import HTMLParser
from typing import NamedTuple

ACTIVE = frozenset(
    {
        *("script", "style", "link", "meta", "base", "template", "noscript", "dialog"),
        *("iframe", "frame", "frameset", "object", "embed", "applet", "portal"),
        *("form", "input", "button", "select", "textarea"),
        *("svg", "math", "img", "image", "video", "audio", "source"),
    }
)
"""Elements that load, run or take something, or change how the rest is read."""
WRITTEN = frozenset({"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote", "hr"})
"""Elements that people may make, by Markdown."""
ADDRESSES = frozenset({"href", "src", "action", "formaction", "srcset", "poster", "data", "xlink:href", "ping", "cite"})
GOOD_ADDRESSES = ("/", "#", "?", "http://", "https://", "mailto:")


class Parts(NamedTuple):
    """The elements of a page with the names of their attributes; `active` are counted."""

    elements: frozenset[tuple[str, frozenset[str]]]
    active: Counter[tuple[str, frozenset[str]]]
    wrong: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, frozenset[str]]] = set()
        self.active: Counter[tuple[str, frozenset[str]]] = Counter()
        self.wrong: list[str] = []
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = tag, frozenset(name for name, _ in attrs)
        self.elements.add(element)
        if tag in ACTIVE:
            self.active[element] += 1
        for name, value in attrs:
            address = (value or "").strip()
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.wrong.append(f"<{tag} {name}={value!r}>")
            if name in ADDRESSES and not address.startswith(GOOD_ADDRESSES):
                self.wrong.append(f"<{tag} {name}={value!r}> leads elsewhere")
            if tag != "a" and address.startswith("//"):
                self.wrong.append(f"<{tag} {name}={value!r}> leads to another host")
        if tag == "script":
            given = dict(attrs)
            self._script = given.get("type") or "text/javascript"
            if "src" not in given and self._script != "application/json":
                self.wrong.append(f"a script in the page: {given}")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script == "application/json":
            try:
                json.loads(data)
            except ValueError:
                self.wrong.append(f"no JSON in a script: {data[:200]}")

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"a comment: {data[:200]}")

    def unknown_decl(self, data: str) -> None:
        self.wrong.append(f"a declaration: {data[:200]}")


def parts(html: str) -> Parts:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Parts(frozenset(reader.elements), reader.active, reader.wrong)


def timeless(page: str) -> str:
    """A page without when it was made."""
    return re.sub(r'data-seq="\d+"|<p id="snapshot".*?</p>|<time id="as-of".*?</time>', "", page)
