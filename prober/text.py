"""A response's body as text, for keywords, and as UTF-8, for JSON."""

import codecs
import json
from functools import lru_cache

from prober.charsets import UTF_8, charset

_REPLACED = "\ufffd"
_MULTIBYTE = frozenset({"gb18030", "big5hkscs", "euc_jis_2004", "iso2022_jp_ext", "cp932", "cp949"})
_JAPANESE = ("euc_jis_2004", "iso2022_jp_ext")
# Python's JIS codecs and browsers differ in these; input methods write the second of each pair.
_AS_BROWSERS = (("〜", "～"), ("−", "－"), ("‖", "∥"), ("¢", "￠"), ("£", "￡"), ("¬", "￢"))


class Text:
    """The text of a body. `words in text` compares characters; invalid bytes count as U+FFFD.

    A body in a Unicode encoding is not decoded: the words are encoded and searched for, with the same result.
    """

    __slots__ = ("_body", "_codec", "_decoded", "_unit")

    def __init__(self, body: bytes, content_type: str) -> None:
        self._body = body
        self._codec = charset(content_type, body)
        self._unit = 1 if self._codec == UTF_8 else {"utf-16": 2, "utf-32": 4}.get(self._codec[:6], 0)
        self._decoded: str | None = None

    def __contains__(self, words: str) -> bool:
        if not self._unit or _REPLACED in words:
            if self._decoded is None:
                self._decoded = decode(self._body, self._codec)
            return words in self._decoded
        encoded = words.encode(self._codec, "surrogatepass")
        at = self._body.find(encoded)
        while at % self._unit and at >= 0:  # half of one character and half of the next
            at = self._body.find(encoded, at + 1)
        return at >= 0


def decode(body: bytes, codec: str) -> str:
    """The body's characters; U+FFFD for invalid bytes. `codec` is one that `charset` returns."""
    if codec in _MULTIBYTE or codec.startswith("utf"):
        text = body.decode(codec, "replace")
        if codec in _JAPANESE:
            for python, browsers in _AS_BROWSERS:
                text = text.replace(python, browsers)
        return text
    return codecs.charmap_decode(body, "strict", _table(codec))[0]


@lru_cache
def _table(codec: str) -> str:
    """The characters of a single-byte charset. Python's own decoding takes 200 times as long for undefined bytes."""
    undefined = "latin-1" if codec == "cp1252" else None  # browsers decode its undefined bytes as control characters
    bytes_ = [bytes([number]) for number in range(256)]
    table = [byte.decode(codec, "replace") for byte in bytes_]
    if undefined:
        table = [
            byte.decode(undefined) if char == _REPLACED else char for byte, char in zip(bytes_, table, strict=True)
        ]
    return "".join(table)


def json_bytes(document: bytes) -> bytes:
    """A JSON document as UTF-8 without a byte order mark. It may be in UTF-8, UTF-16 or UTF-32, regardless of the
    response's headers (RFC 8259). Raises UnicodeDecodeError."""
    encoding = json.detect_encoding(document)
    if encoding == UTF_8:
        return document
    if encoding == "utf-8-sig":
        return document[len(codecs.BOM_UTF8) :]
    return document.decode(encoding).encode()
