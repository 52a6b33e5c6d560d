"""Text for XML 1.0, which has no way to write most control characters, not even as a reference."""

import re

_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def xml_text(text: str) -> str:
    """Without what no XML document may hold: https://www.w3.org/TR/xml/#charsets. To be escaped still."""
    return _NO_CHARACTER.sub("", text)
