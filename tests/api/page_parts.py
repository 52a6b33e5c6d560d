"""The parts of a page that injected text could change: its elements, their attributes, and invalid values."""

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
"""Elements that load or run something, take input, or change how the rest of the page is parsed."""
MARKDOWN = frozenset({"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote", "hr"})
"""Elements that Markdown can produce."""
ADDRESSES = frozenset({"href", "src", "action", "formaction", "srcset", "poster", "data", "xlink:href", "ping", "cite"})
ALLOWED_ADDRESSES = ("/", "#", "?", "http://", "https://", "mailto:")


class Parts(NamedTuple):
    """The elements of a page with the names of their attributes. `active`: the number of each element of ACTIVE.
    `errors`: attributes, addresses and scripts that no page may have."""

    elements: frozenset[tuple[str, frozenset[str]]]
    active: Counter[tuple[str, frozenset[str]]]
    errors: list[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: set[tuple[str, frozenset[str]]] = set()
        self.active: Counter[tuple[str, frozenset[str]]] = Counter()
        self.errors: list[str] = []
        self._script: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = tag, frozenset(name for name, _ in attrs)
        self.elements.add(element)
        if tag in ACTIVE:
            self.active[element] += 1
        for name, value in attrs:
            address = (value or "").strip()
            if name.startswith("on") or name in ("style", "srcdoc"):
                self.errors.append(f"<{tag} {name}={value!r}>")
            if name in ADDRESSES and not address.startswith(ALLOWED_ADDRESSES):
                self.errors.append(f"<{tag} {name}={value!r}> leads elsewhere")
            if tag != "a" and address.startswith("//"):
                self.errors.append(f"<{tag} {name}={value!r}> leads to another host")
        if tag == "script":
            given = dict(attrs)
            self._script = given.get("type") or "text/javascript"
            if "src" not in given and self._script != "application/json":
                self.errors.append(f"a script in the page: {given}")

    def handle_endtag(self, tag: str) -> None:
        if tag == "script":
            self._script = None

    def handle_data(self, data: str) -> None:
        if self._script == "application/json":
            try:
                json.loads(data)
            except ValueError:
                self.errors.append(f"no JSON in a script: {data[:200]}")

    def handle_comment(self, data: str) -> None:
        self.errors.append(f"a comment: {data[:200]}")

    def unknown_decl(self, data: str) -> None:
        self.errors.append(f"a declaration: {data[:200]}")


def parts(html: str) -> Parts:
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return Parts(frozenset(reader.elements), reader.active, reader.errors)


def timeless(page: str) -> str:
    """Returns the page without the times of its data."""
    return re.sub(r'data-seq="\d+"|<p id="snapshot".*?</p>|<time id="as-of".*?</time>', "", page)
