"""The charset of a body, and searches in its text."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prober.charsets import _LABELS_BY_CODEC, charset, codec_of
from prober.text import Text, decode, json_bytes

CHARACTERS = st.text(st.characters(exclude_categories=["Cs"]))
CODECS = sorted(_LABELS_BY_CODEC)
UNICODE = [codec for codec in CODECS if codec.startswith("utf")]


class TestCharset:
    @pytest.mark.parametrize(
        ("label", "codec"),
        [
            ("iso-8859-1", "cp1252"),
            ("US-ASCII", "cp1252"),
            ("latin1", "cp1252"),
            ("iso-8859-9", "cp1254"),
            ("tis-620", "cp874"),
            ("EUC-KR", "cp949"),
            ("ks_c_5601-1987", "cp949"),
            ("gb2312", "gb18030"),
            ("GBK", "gb18030"),
            ("Shift_JIS", "cp932"),
            ("x-sjis", "cp932"),
            (" utf8 ", "utf-8"),
            ("'euc-kr'", "cp949"),
            ("klingon", None),
            ("utf-7", None),
            ("hz-gb-2312", None),
            ("rot13", None),
            ("", None),
        ],
    )
    def test_labels_have_the_meaning_of_the_encoding_standard(self, label: str, codec: str | None) -> None:
        assert codec_of(label) == codec

    @pytest.mark.parametrize(
        "content_type",
        [
            "text/html; charset=euc-kr",
            'text/html;charset="EUC-KR"',
            "TEXT/HTML ; x=y; CharSet = Euc-KR ; z",
            "text/plain; charset='euc-kr'",
            "application/json; charset=euc-kr, text/html",
            "charset=euc-kr",
        ],
    )
    def test_the_header_has_priority(self, content_type: str) -> None:
        assert charset(content_type, b"\xef\xbb\xbf<meta charset=gbk>") == "cp949"

    @pytest.mark.parametrize(
        ("mark", "codec"),
        [
            (b"\xef\xbb\xbf", "utf-8"),
            (b"\xff\xfe", "utf-16-le"),
            (b"\xfe\xff", "utf-16-be"),
            (b"\xff\xfe\0\0", "utf-32-le"),
            (b"\0\0\xfe\xff", "utf-32-be"),
        ],
    )
    def test_the_byte_order_mark_is_second(self, mark: bytes, codec: str) -> None:
        assert charset("text/html; charset=klingon", mark + b"<meta charset=gbk>") == codec
        assert charset(f"text/html; charset={codec[:6]}", mark) == codec, (
            "utf-16 does not name the byte order, the mark does"
        )

    @pytest.mark.parametrize(
        "document",
        [
            b"<meta charset=euc-kr>",
            b"<!doctype html><HTML><head a='>'><META\nCHARSET = 'EUC-KR' />",
            b'<meta http-equiv="Content-Type" content="text/html; charset=euc-kr">',
            b"<meta content='text/html;charset=\"euc-kr\"' http-equiv=content-type>",
            b"<!-- <meta charset=gbk> --><meta charset=klingon><meta charset=euc-kr>",
            b'<p title="<meta charset=gbk>"><meta/charset="euc-kr"/>',
            b'<meta name="description" content="charset=gbk"><meta charset="euc-kr">',
            b'<?xml version="1.0" encoding="euc-kr"?><a/>',
            b"<?xml version='1.0' encoding = 'EUC-KR' standalone='yes'?><a/>",
        ],
    )
    @pytest.mark.parametrize("content_type", ["", "text/html", "Text/HTML; charset=klingon", "application/rss+xml"])
    def test_the_document_is_third(self, content_type: str, document: bytes) -> None:
        assert charset(content_type, document) == "cp949"

    @pytest.mark.parametrize(
        ("content_type", "document"),
        [
            ("text/plain", b"<meta charset=euc-kr>"),
            ("application/json", b'{"a": "<meta charset=euc-kr>"}'),
            ("text/html", b" " * 1020 + b"<meta charset=euc-kr>"),
            ("text/html", b"<meta charset=klingon>"),
            ("text/html", b"<meta charset=utf-16>"),
            ("text/html", b"<meta charset=euc-kr"),
            ("text/html", b"<meta charset"),
            ("text/html", b"<!-- <meta charset=euc-kr>"),
            ("text/html", b""),
            ("", b"plain"),
        ],
    )
    def test_utf_8_is_the_default(self, content_type: str, document: bytes) -> None:
        assert charset(content_type, document) == "utf-8"

    @given(content_type=st.text(max_size=60), body=st.binary(max_size=60))
    def test_it_never_raises(self, content_type: str, body: bytes) -> None:
        assert charset(content_type, body) in CODECS


class TestText:
    @given(codec=st.sampled_from(CODECS), text=CHARACTERS, data=st.data())
    def test_every_part_of_a_text_is_found(self, codec: str, text: str, data: st.DataObject) -> None:
        body = text.encode(codec, "ignore")
        text_read = decode(body, codec)
        begin = data.draw(st.integers(0, len(text_read)))
        words = text_read[begin : data.draw(st.integers(begin, len(text_read)))]
        assert words in Text(body, f"text/plain; charset={_LABELS_BY_CODEC[codec].split()[0]}")

    @given(
        codec=st.sampled_from(UNICODE), body=st.binary(max_size=40), words=CHARACTERS.filter(len) | st.just("\ufffd")
    )
    def test_a_search_without_decoding_equals_a_search_in_the_decoded_text(
        self, codec: str, body: bytes, words: str
    ) -> None:
        body += words.encode(codec) + body
        for around in (body, body[1:], body[:-1]):
            text = Text(around, f"text/plain; charset={codec}")
            expected = charset(f"; charset={codec}", around)  # a byte order mark can be another one
            assert (words in text) == (words in around.decode(expected, "replace"))

    @given(codec=st.sampled_from(CODECS), body=st.binary(max_size=60))
    def test_any_bytes_can_be_decoded(self, codec: str, body: bytes) -> None:
        assert isinstance(decode(body, codec), str)

    @given(codec=st.sampled_from([codec for codec in CODECS if codec.startswith(("iso8859", "koi8", "cp8", "mac"))]))
    def test_single_byte_charsets_are_decoded_as_in_python(self, codec: str) -> None:
        every = bytes(range(256))
        assert decode(every, codec) == every.decode(codec, "replace")

    def test_charsets_are_decoded_as_in_browsers(self) -> None:
        assert decode(b"\x80\x81\xa3", "cp1252") == "€\x81£"
        assert "１０：００～１８：００" in Text("１０：００〜１８：００①".encode("euc_jis_2004"), "; charset=euc-jp")
        assert "똠방각하" in Text("똠방각하".encode("cp949"), "text/html; charset=euc-kr")
        assert "①" in Text(b"\x87\x40", "text/html; charset=shift_jis")

    def test_parts_of_characters_do_not_match(self) -> None:
        assert "\u3412" not in Text(b"\x00\x12\x34\x00", "; charset=utf-16le")
        assert "\u3412" in Text(b"\x00\x12\x34\x00\x12\x34", "; charset=utf-16le")
        assert "\\" not in Text("表".encode("cp932"), "; charset=shift_jis")

    def test_a_keyword_with_a_lone_surrogate_is_not_an_error(self) -> None:
        assert "\ud800" not in Text(b"text", "")


class TestJson:
    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
    )
    @given(value=st.dictionaries(CHARACTERS, CHARACTERS, max_size=3) | st.integers() | st.booleans())
    def test_every_unicode_encoding_is_read(self, encoding: str, value: object) -> None:
        text = json.dumps(value, ensure_ascii=False)
        assert json_bytes(text.encode(encoding)) == text.encode()

    def test_utf_8_is_returned_unchanged(self) -> None:
        document = b'{"a": "\xff"}'
        assert json_bytes(document) is document
