"""Origins of pages: normal form, and which pages belong to this site."""

import pytest

from api.edge.origins import Origins
from sla_monitor.formats.origins import origin_of, read_origin, requested_origin
from sla_monitor.settings import load


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://localhost:80", "http://localhost"),
        ("https://Front.Example:443/", "https://front.example"),
        ("HTTP://FRONT.EXAMPLE./app?x#y", "http://front.example"),
        ("https://front.example:80", "https://front.example:80"),
        ("http://user:secret@front.example", "http://front.example"),
        ("http://[0:0::1]:80/", "http://[::1]"),
        ("http://[::1]:3005", "http://[::1]:3005"),
        ("http://127.0.0.1:080/", "http://127.0.0.1"),
        ("https://Straße.example", "https://xn--strae-oqa.example"),
        ("https://상태.example:8443/", "https://xn--hg4bo80a.example:8443"),
    ],
)
def test_a_url_has_the_origin_that_browsers_send(url: str, origin: str) -> None:
    assert str(origin_of(url)) == origin
    assert load({"CLIENT_URLS": url}).client_urls == (origin,)


def test_repeated_origins_are_removed_and_names_get_their_normal_form() -> None:
    text = "http://localhost:80,http://localhost:3001,http://localhost:3005,http://LOCALHOST"
    assert load({"CLIENT_URLS": text}).client_urls == (
        "http://localhost",
        "http://localhost:3001",
        "http://localhost:3005",
    )
    assert load({"SITE_URL": "https://Status.Example.com.:443/"}).site_url == "https://status.example.com"
    assert load({"ALLOWED_HOSTS": "Status.Example.com."}).allowed_hosts == ("status.example.com",)
    assert load({"ALLOWED_HOSTS": "Straße.example"}).allowed_hosts == ("xn--strae-oqa.example",)


@pytest.mark.parametrize(
    "header",
    [
        *("", "null", "http://", "//front.example", "ftp://front.example", "http://front.example/", "http://a b"),
        *("http://x@front.example", "http://front.example:", "http://front.example:x", "http://[::1", "http://a:1:2"),
    ],
)
def test_invalid_origins(header: str) -> None:
    assert read_origin(header) is None


def test_the_requested_origin_is_none_for_an_invalid_host() -> None:
    assert requested_origin("", "http") is None
    assert requested_origin("a/b", "http") is None
    assert str(requested_origin("Status.Example.:443", "https")) == "https://status.example"


@pytest.mark.parametrize("origin", [b"http://localhost", b"http://localhost.", b"https://front.example"])
def test_front_ends_may_read_responses(origin: bytes) -> None:
    origins = Origins(("http://localhost:80", "https://FRONT.example.:443"))
    assert (b"access-control-allow-origin", origin) in origins.cors_headers(origin)
    assert origins.allows_change(origin, b"api.example", False)


OWN = [
    (b"http://10.0.0.1", b"10.0.0.1"),
    (b"http://10.0.0.1", b"10.0.0.1:80"),
    (b"http://localhost:3001", b"LocalHost:3001"),
    (b"https://status.example.com", b"status.example.com:443"),
    (b"https://status.example.com.", b"status.example.com."),
    (b"https://status.example.com.", b"status.example.com"),
    (b"http://[::1]:3001", b"[::1]:3001"),
    (b"https://site.example", b"10.0.0.1:3001"),
]


@pytest.mark.parametrize(("origin", "host"), OWN)
def test_a_page_of_this_site_is_recognised(origin: bytes, host: bytes) -> None:
    origins = Origins((), ("status.example.com",), "https://site.example")
    assert origins.is_this_site(origin, host, False)


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (b"null", b""),
        (b"null", b"null"),
        (b"", b""),
        (b"http://", b""),
        (b"http://10.0.0.1:3001", b"10.0.0.1"),
        (b"http://10.0.0.1", b"10.0.0.1:443"),
        (b"https://evil.example", b"evil.example"),
        (b"http://site.example", b"site.example"),
        (b"http://site.example", b"10.0.0.1:3001"),
        (b"https://site.example:8443", b"10.0.0.1:3001"),
    ],
)
def test_a_page_of_another_site_is_not_recognised(origin: bytes, host: bytes) -> None:
    origins = Origins((), ("status.example.com",), "https://site.example")
    assert not origins.is_this_site(origin, host, False)


def test_over_tls_a_page_of_http_belongs_to_another_site() -> None:
    origins = Origins((), ("status.example.com",))
    assert origins.is_this_site(b"http://status.example.com", b"status.example.com", False)
    assert not origins.is_this_site(b"http://status.example.com", b"status.example.com", True)
    assert origins.is_this_site(b"https://status.example.com", b"status.example.com", True)
