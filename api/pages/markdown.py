"""Text that people write, as HTML: CommonMark without HTML, pictures and headings; links tell nobody where from.

Two nets: markdown-it passes no HTML through and links to http, https and mailto only; nh3 then lets nothing pass that
is not on a list.
"""

import re
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt

TAGS = {"p", "br", "strong", "em", "code", "pre", "ul", "ol", "li", "a", "blockquote", "hr"}
LINK_REL = "nofollow noopener noreferrer"
_reader = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(["image", "html_block", "html_inline"])
_HEADING = re.compile(r"<(/?)h[1-6]>")


@lru_cache(maxsize=2048)
def markdown(text: str) -> str:
    """Safe HTML. Headings are bold lines: the page has its own."""
    html = _HEADING.sub(lambda found: "</strong></p>" if found[1] else "<p><strong>", _reader.render(text))
    return nh3.clean(
        html, tags=TAGS, attributes={"a": {"href"}}, url_schemes={"http", "https", "mailto"}, link_rel=LINK_REL
    )
