"""Text for XML 1.0, which cannot contain most control characters, not even as references."""

import re

_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """The text without the characters that XML does not allow (https://www.w3.org/TR/xml/#charsets); not escaped."""
    return _NO_CHARACTER.sub("", text)
