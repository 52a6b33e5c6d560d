"""Host names in normal form, as in browsers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sla_monitor.formats.host_names import HostNameError, host_in, host_name


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("LocalHost", "localhost"),
        ("straße.de", "xn--strae-oqa.de"),
        ("STRASSE.de", "strasse.de"),
        ("ẞ.de", "xn--zca.de"),
        ("ΒΌΛΟΣ", "xn--nxasmq6b"),
        ("βόλος", "xn--nxasmm1c"),
        ("i❤️.ws", "xn--i-7iq.ws"),
        ("日本語．JP", "xn--wgv71a119e.jp"),
        ("ＡＢＣ.example", "abc.example"),
        ("a\u00adb.example", "ab.example"),
        ("_dmarc.example", "_dmarc.example"),
        ("%C3%A9.example", "xn--9ca.example"),
        ("xn--strae-oqa.de", "xn--strae-oqa.de"),
        ("ü.example.", "xn--tda.example."),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7F.0.0.01", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("[0:0:0::1]", "[::1]"),
        ("[FE80::1]", "[fe80::1]"),
        ("1.2.3.4.5", "1.2.3.4.5"),
    ],
)
def test_a_host_gets_its_normal_form(host: str, expected: str) -> None:
    assert host_name(host) == expected


@pytest.mark.parametrize(
    "host",
    [
        "a\u200cb.example",  # a joiner between characters that do not join
        "\u0301a.example",  # begins with a combining mark
        "אa1.א1a",  # mixes directions
        "a b.example",
        "a%2Fb.example",
        "h%FF.example",
        "a℀b.example",  # mapped to a/c
        "ü" * 300,
        "[::g]",
        "a\ud800b.example",
    ],
)
def test_a_host_that_browsers_refuse_is_refused(host: str) -> None:
    with pytest.raises(HostNameError, match=r"^not a valid host name$"):
        host_name(host)


@pytest.mark.parametrize(
    ("netloc", "expected"),
    [
        ("Example.COM:8080", "example.com"),
        ("user:pa@ss@Example.com", "example.com"),
        ("[::1]:80", "[::1]"),
        ("u@[::1]", "[::1]"),
        ("ü:80", "xn--tda"),
    ],
)
def test_the_host_of_an_authority(netloc: str, expected: str) -> None:
    assert host_in(netloc) == expected


@given(st.text(max_size=40))
def test_any_text_gives_an_ascii_name_or_an_error(text: str) -> None:
    try:
        name = host_name(text)
    except HostNameError:
        return
    assert name.isascii() and name == name.lower()
    assert host_name(name) == name
