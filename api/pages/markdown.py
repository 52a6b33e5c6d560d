"""Text that people write, as HTML: CommonMark without HTML, pictures and headings; links tell nobody where from.

Two nets: markdown-it passes no HTML through and links to http, https and mailto only; nh3 then lets nothing pass that
is not on a list. No link is defined once and used often: 20 kB of text would become 200 MB of page.
"""

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

TAGS = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote", "hr"}
LINK_REL = "nofollow noopener noreferrer"
REMEMBERED_CHARACTERS = 2000
"""Few texts are longer, and those could fill the memory."""
_reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(
    ["image", "html_block", "html_inline", "reference"]
)
_HEADING = re.compile(r"<(/?)h[1-6]>")


def markdown(text: str) -> str:
    """Safe HTML. Headings are bold lines: the page has its own."""
    return _remembered(text) if len(text) <= REMEMBERED_CHARACTERS else _rendered(text)


@lru_cache(maxsize=1024)
def _remembered(text: str) -> str:
    return _rendered(text)


def _rendered(text: str) -> str:
    html = _HEADING.sub(lambda found: "</strong></p>" if found[1] else "<p><strong>", _reader.render(text))
    return nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}, link_rel=LINK_REL
    )
