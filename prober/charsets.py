"""Which charset a response's body is in, and the Python codec for it.

The order is: the Content-Type header's charset, a byte order mark, what the document declares in its first 1024 bytes
(HTML's meta element, the XML declaration), UTF-8. A label that browsers don't know is ignored. Labels mean what
they mean to browsers (WHATWG Encoding): `iso-8859-1` means windows-1252, and `euc-kr` its extension windows-949.
"""

import re
from functools import lru_cache

UTF_8 = "utf-8"

_LABELS_BY_CODEC = {
    UTF_8: "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
    "utf-16-le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-32-le": "utf-32 utf-32le",  # browsers have dropped it; programs still send it
    "utf-32-be": "utf-32be",
    "cp1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1"
    " iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252 x-user-defined",
    "cp1250": "cp1250 windows-1250 x-cp1250",
    "cp1251": "cp1251 windows-1251 x-cp1251",
    "cp1253": "cp1253 windows-1253 x-cp1253",
    "cp1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5"
    " windows-1254 x-cp1254",
    "cp1255": "cp1255 windows-1255 x-cp1255",
    "cp1256": "cp1256 windows-1256 x-cp1256",
    "cp1257": "cp1257 windows-1257 x-cp1257",
    "cp1258": "cp1258 windows-1258 x-cp1258",
    "cp874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
    "cp866": "866 cp866 csibm866 ibm866",
    "iso8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e"
    " iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
    "iso8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 iso_8859-7"
    " iso_8859-7:1987 sun_eu_greek",
    "iso8859-8": "csiso88598e csiso88598i csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-8859-8-i iso-ir-138"
    " iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 logical visual",
    "iso8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso8859-13": "iso-8859-13 iso8859-13 iso885913",
    "iso8859-14": "iso-8859-14 iso8859-14 iso885914",
    "iso8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
    "iso8859-16": "iso-8859-16",
    "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
    "koi8-u": "koi8-ru koi8-u",
    "mac-roman": "csmacintosh mac macintosh x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "big5hkscs": "big5 big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc_jis_2004": "cseucpkdfmtjapanese euc-jp x-euc-jp",
    "iso2022_jp_ext": "csiso2022jp iso-2022-jp",
    "cp932": "csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis",
    "cp949": "cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601"
    " windows-949",
}
_CODECS = {label: codec for codec, labels in _LABELS_BY_CODEC.items() for label in labels.split()}

_MARKS = (  # the longer ones first: the mark of UTF-32 begins with that of UTF-16
    (b"\xef\xbb\xbf", UTF_8),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_MARK_BYTES = b"\xef\xff\xfe\x00"

_DECLARED_WITHIN = 1024
_PARAMETER = re.compile(r"""(?:^|;)\s*charset\s*=\s*(?:"([^"]*)"|([^;,\s]*))""", re.IGNORECASE)
_MARKUP = re.compile(r"\s*(?:$|;|text/html|[a-z]+/(?:[^;\s]+\+)?xml|\*/\*|unknown/|application/unknown)", re.IGNORECASE)
_XML = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ELEMENT = re.compile(  # a comment, a meta element and its attributes, any other tag
    rb"""<!--.*?(?:-->|$)|<meta[\s/]((?:[^>"']++|"[^"]*+"|'[^']*+')*+)>|</?[a-z](?:[^>"']++|"[^"]*+"|'[^']*+')*+>""",
    re.IGNORECASE | re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"""([^\s/>"'=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+)))?""")
_IN_CONTENT = re.compile(rb"""charset\s*=\s*["']?([^\s;"']+)""", re.IGNORECASE)


def codec_of(label: str) -> str | None:
    """The Python codec for a charset's label, in any case; None for a label that browsers don't know."""
    return _CODECS.get(label.strip(" \t\r\n\f'").lower())


def charset(content_type: str, body: bytes) -> str:
    """The codec of this body. `content_type` is the value of the header, empty if there was none. Never raises."""
    codec, markup = _declared(content_type)
    mark = _mark(body) if body[:1] in _MARK_BYTES else None
    if codec is not None:
        # The labels utf-16 and utf-32 leave the byte order open; the byte order mark gives it.
        return mark if mark is not None and mark[:6] == codec[:6] else codec
    return mark or (_in_document(body[:_DECLARED_WITHIN]) if markup else None) or UTF_8


@lru_cache(maxsize=1024)
def _declared(content_type: str) -> tuple[str | None, bool]:
    """The header's charset, and whether the document may declare one: HTML, XML, or a response without a type."""
    parameter = _PARAMETER.search(content_type)
    codec = codec_of(parameter[1] or parameter[2] or "") if parameter else None
    return codec, _MARKUP.match(content_type) is not None


def _mark(body: bytes) -> str | None:
    return next((codec for mark, codec in _MARKS if body.startswith(mark)), None)


def _in_document(beginning: bytes) -> str | None:
    lowered = beginning.lower()
    if b"charset" in lowered:
        for element in _ELEMENT.finditer(beginning):
            codec = _from_meta(element[1]) if element[1] is not None else None
            if codec is not None:
                return codec
    if b"encoding" in lowered:
        declaration = _XML.match(beginning)
        if declaration is not None:
            return _readable_as_ascii(declaration[1] or declaration[2] or b"")
    return None


def _from_meta(attributes: bytes) -> str | None:
    values: dict[bytes, bytes] = {}
    for name, *quoted in _ATTRIBUTE.findall(attributes):
        values.setdefault(name.lower(), b"".join(quoted))
    if b"charset" in values:
        return _readable_as_ascii(values[b"charset"])
    if values.get(b"http-equiv", b"").strip().lower() == b"content-type":
        found = _IN_CONTENT.search(values.get(b"content", b""))
        return _readable_as_ascii(found[1]) if found else None
    return None


def _readable_as_ascii(label: bytes) -> str | None:
    """The codec for a label that was read as ASCII. The document is then not in UTF-16 or UTF-32, even if it declares
    so."""
    codec = codec_of(label.decode("latin-1"))
    return UTF_8 if codec is not None and codec.startswith(("utf-16", "utf-32")) else codec
