"""HTTP and HTTPS: one request on a new connection, redirects followed, one deadline over all of it."""

import asyncio
import re
from contextlib import suppress
from functools import partial
from string import punctuation
from typing import Any
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

import pycurl

from prober.outcome import Certificate, Outcome, ProberTrouble, TargetDenied, printable
from prober.probes import certificates, codings, head
from prober.probes.curl import Engine
from prober.probes.failures import Failure, failure, is_whole, timed_out, waiting_for
from prober.probes.http_judgement import is_decided, judge
from prober.probes.resolver import NameFailure
from prober.probes.transfer import Shape, Transfer
from prober.services import Service
from sla_monitor.checks.http import Http
from sla_monitor.formats.host_names import HostNameError, host_in, host_name

__all__ = ["judge", "probe"]

_REDIRECTS = (301, 302, 303, 307, 308)
# The usual URL, taken apart in a microsecond: ASCII, no credentials or backslash. Others go through urlsplit.
_PLAIN_URL = re.compile(r"(https?)://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?:[/?][!-\[\]-~]*)?")
_DECODED_AT_ONCE = 64 * 1024
"""A larger coded body is decoded in a thread: one that was made to take long would hold up all other checks."""
_NUMERIC_HOST = re.compile(r"[0-9.]+|\[.*")
_STREAMS = ("text/event-stream", "multipart/x-mixed-replace", "audio/", "video/")
"""Media types whose body goes on for as long as somebody listens, where it has no length."""


class Target:
    """A URL taken apart as far as the prober needs it. `url` is what libcurl gets: ASCII, no credentials."""

    __slots__ = ("credentials", "host", "port", "scheme", "url")

    def __init__(self, url: str) -> None:
        """Raises ValueError for what is no http(s) URL, HostNameError where it is the host that cannot be. Neither
        quotes the URL: it may hold a secret."""
        plain = _PLAIN_URL.fullmatch(url)
        if plain is not None:
            self.scheme, host, port = plain.groups()
            self.host = host_name(host)
            self.url = url
            self.credentials: str | None = None
            self.port = int(port) if port else _default_port(self.scheme)
            return
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"not an http(s) address but {parts.scheme or 'a relative'} one")
        if not parts.hostname:
            raise ValueError("an address without a host")
        self.scheme = parts.scheme
        self.host = host_in(parts.netloc)
        self.port = parts.port or _default_port(self.scheme)
        self.credentials = None
        if parts.username is not None:
            self.credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        path = quote(parts.path or "/", safe="%/:=&?~#+!$,;'@()*[]")
        query = quote(parts.query, safe="%/:=&?~#+!$,;'@()*[]")
        self.url = urlunsplit((self.scheme, f"{self.host}:{self.port}", path, query, ""))

    def trusts(self, other: "Target") -> bool:
        """Whether what was meant for this host may go to the other: same origin, or its upgrade to TLS."""
        if self.host != other.host:
            return False
        if self.scheme == other.scheme:
            return self.port == other.port
        return self.scheme == "http" and self.port == 80 and other.port == 443


class _Chain:
    """The hops of one check and what they add up to; milliseconds, None until the phase happened."""

    __slots__ = (
        *("address", "certificate", "connect", "dns", "first_byte", "inspected"),
        *("inspects", "redirects", "status", "tls", "total"),
    )

    def __init__(self, inspects: bool) -> None:
        self.inspects = inspects
        self.total = 0.0
        self.dns: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None
        self.first_byte: float | None = None
        self.status: int | None = None
        self.address: str | None = None
        self.redirects = 0
        self.inspected = False
        self.certificate: Certificate | None = None

    def add(self, transfer: Transfer) -> None:
        """Reads a finished hop's figures: libcurl counts microseconds from the start, 0: never came."""
        info = transfer.curl.getinfo
        self.total += info(pycurl.TOTAL_TIME_T) / 1000
        connected = info(pycurl.CONNECT_TIME_T)
        if not connected:
            return
        self.connect = (self.connect or 0.0) + (connected - info(pycurl.NAMELOOKUP_TIME_T)) / 1000
        self.address = info(pycurl.PRIMARY_IP)
        if transfer.secure:
            secured = info(pycurl.APPCONNECT_TIME_T)
            if not secured:  # libcurl then sets the later times too, to the moment of the failure
                return
            self.tls = (self.tls or 0.0) + (secured - connected) / 1000
            if self.inspects:
                self._inspect(transfer.curl)
        first = info(pycurl.STARTTRANSFER_TIME_T)
        if first:
            self.first_byte = (self.first_byte or 0.0) + (first - info(pycurl.PRETRANSFER_TIME_T)) / 1000
            self.status = info(pycurl.RESPONSE_CODE) or None

    def _inspect(self, curl: Any) -> None:
        self.inspected = True
        found = certificates.leaf(curl)
        if found is not None and (self.certificate is None or found.expires_at < self.certificate.expires_at):
            self.certificate = found

    def outcome(
        self,
        failed: Failure | None,
        body: bytes = b"",
        content_type: str = "",
        truncated: bool = False,
        undecodable: str | None = None,
    ) -> Outcome:
        return Outcome(
            total_ms=self.total,
            dns_ms=self.dns,
            connect_ms=self.connect,
            tls_ms=self.tls,
            first_byte_ms=self.first_byte,
            status_code=self.status,
            error_type=failed[0] if failed else None,
            error_message=printable(failed[1]) if failed else None,
            body=body,
            content_type=content_type,
            truncated=truncated,
            undecodable=undecodable,
            address=self.address,
            redirects=self.redirects,
            inspected=self.inspected,
            certificate=self.certificate,
        )


async def probe(service: Service, config: Http, deadline: float, engine: Engine) -> Outcome:
    """Asks once. Ends by `deadline` (the loop's time) whatever the target does; raises `ProberTrouble`.

    Redirects keep the method where HTTP says so (307, 308; 301 and 302 for all but POST; 303 means GET). To
    another origin go neither the service's headers nor its credentials; the body goes where 307 and 308 send
    it. Cookies that a hop sets go to the next ones as their domain, path and TLS allow, and end with the check.
    """
    chain = _Chain(engine.inspection.due(service, engine.loop.time()))
    try:
        target = Target(config.endpoint_url)
    except HostNameError as error:
        return chain.outcome(("dns_error", str(error)))
    except ValueError as error:
        return chain.outcome(("unknown_error", str(error)))
    shape = Shape(config.method, config.headers, config.body, config.verify_tls, target.credentials)
    transfer = engine.take()
    try:
        while True:
            failed = await _hop(service, config, target, shape, transfer, chain, deadline, engine)
            if failed is not None:
                return chain.outcome(failed)
            status = chain.status
            if status not in _REDIRECTS or not config.follow_redirects:
                break
            location = _location(transfer, target)
            if location is None:
                break
            if chain.redirects == config.follow_redirects:
                return chain.outcome(("http_error", f"more than {config.follow_redirects} redirects"))
            chain.redirects += 1
            try:
                onward = Target(location)
            except HostNameError as error:
                return chain.outcome(("dns_error", f"redirected to {error}"))
            except ValueError as error:
                return chain.outcome(("http_error", f"redirected to {error}"))
            shape = _redirected(shape, status, target, onward)
            target = onward
        if not transfer.body:
            return chain.outcome(None, truncated=transfer.truncated)
        body = b"".join(transfer.body)
        transfer.body.clear()  # else it would be in memory twice while it is decoded
        return await _with_body(chain, transfer, body, engine.max_bytes)
    finally:
        engine.give_back(transfer)


async def _hop(
    service: Service,
    config: Http,
    target: Target,
    shape: Shape,
    transfer: Transfer,
    chain: _Chain,
    deadline: float,
    engine: Engine,
) -> Failure | None:
    """One request and its answer, added to the chain; returns what went wrong with it, if anything."""
    chain.status = chain.address = None
    resolve: list[str] = []
    if _NUMERIC_HOST.fullmatch(target.host) is None:
        begun = engine.loop.time()
        try:
            answer = await engine.resolver.addresses(target.host, deadline)
        except (NameFailure, TimeoutError) as error:
            chain.total += (engine.loop.time() - begun) * 1000
            if isinstance(error, NameFailure):
                return "dns_error", str(error)
            return timed_out(service, "while looking up the name", deadline, engine)
        chain.total += answer.ms
        chain.dns = (chain.dns or 0.0) + answer.ms
        resolve = [f"+{target.host}:{target.port}:{','.join(answer.addresses)}"]
    # A millisecond at least: 0 would mean no limit to libcurl.
    timeout_ms = max(1, round((deadline - engine.loop.time()) * 1000))
    transfer.expect(engine.max_bytes, config.reads_body, partial(_is_certain, config, engine.max_bytes))
    try:
        transfer.prepare(target.url, shape, resolve, timeout_ms, chain.inspects and target.scheme == "https")
    except (pycurl.error, UnicodeError):
        return "unknown_error", "libcurl refuses the request: check the URL, the method and the headers"
    code, message = await engine.perform(transfer)
    chain.add(transfer)
    if code == 0 or transfer.truncated or is_whole(code, message, transfer):
        return None
    if transfer.certain(transfer):  # as it would have been with a look a moment earlier
        transfer.decided = True
        return None
    if transfer.waits and code == pycurl.E_OPERATION_TIMEDOUT:
        raise ProberTrouble("too many large answers at once, no memory for one more: raise PROBE_BODIES_MAX_BYTES")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return timed_out(service, waiting_for(transfer), deadline, engine)
    try:
        return failure(code, message, transfer)
    except TargetDenied as denied:
        if chain.redirects == 0:
            raise
        return "connection_error", f"redirected: {denied}"  # the service did answer, and leads nobody to a good page


def _is_certain(config: Http, limit: int, transfer: Transfer) -> bool:
    """Whether the verdict on a response stays the same whatever the rest of its body says."""
    status = transfer.curl.getinfo(pycurl.RESPONSE_CODE)
    if status < 200 or not head.is_complete(transfer.head):
        return False
    if status in _REDIRECTS and config.follow_redirects and head.values(transfer.head, b"location"):
        return True
    if status not in config.expected_status_codes:
        return True
    if transfer.body is None:
        length = transfer.curl.getinfo(pycurl.CONTENT_LENGTH_DOWNLOAD_T)
        return length < 0 and _content_type(transfer).lower().startswith(_STREAMS)
    if config.keyword is None and config.keyword_absent is None:
        return False
    body, applied = b"".join(transfer.body), codings.applied(transfer.head)
    if applied:
        if len(body) > _DECODED_AT_ONCE:
            return False
        try:
            body, _ = codings.decoded(body, applied, limit, cut=True)
        except codings.Undecodable:
            return True
    return is_decided(config, body, _content_type(transfer))


def _content_type(transfer: Transfer) -> str:
    stated: bytes = transfer.curl.getinfo_raw(pycurl.CONTENT_TYPE) or b""
    return stated.decode("latin-1")


async def _with_body(chain: _Chain, transfer: Transfer, body: bytes, limit: int) -> Outcome:
    """The outcome of an answer whose body the verdict needs: without its content codings, `limit` bytes at most."""
    content_type = _content_type(transfer)
    applied, truncated = codings.applied(transfer.head), transfer.truncated or transfer.decided
    if applied:
        try:
            if len(body) <= _DECODED_AT_ONCE:
                body, truncated = codings.decoded(body, applied, limit, truncated)
            else:
                body, truncated = await asyncio.to_thread(codings.decoded, body, applied, limit, truncated)
        except codings.Undecodable as error:
            return chain.outcome(None, b"", content_type, truncated, str(error))
    return chain.outcome(None, body, content_type, truncated and not transfer.decided)


def _location(transfer: Transfer, target: Target) -> str | None:
    """Where a redirect leads. Targets send any bytes: what is not UTF-8 is percent-encoded, as browsers do."""
    try:
        location: str | None = transfer.curl.getinfo(pycurl.REDIRECT_URL)
    except UnicodeDecodeError:
        location = quote(transfer.curl.getinfo_raw(pycurl.REDIRECT_URL), safe=punctuation)
    if location is None:  # libcurl tells it only when the body has come to its end
        for stated in head.values(transfer.head, b"location")[:1]:
            location = quote(stated.encode("latin-1"), safe=punctuation)
            with suppress(ValueError):  # what is no URL by itself is none for Target either
                location = urljoin(target.url, location)
    return location


def _redirected(shape: Shape, status: int, target: Target, onward: Target) -> Shape:
    method, body = shape.method, shape.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
    if target.trusts(onward):
        return Shape(method, shape.headers, body, shape.verify_tls, onward.credentials or shape.credentials)
    return Shape(method, {}, body, shape.verify_tls, onward.credentials)


def _default_port(scheme: str) -> int:
    return 443 if scheme == "https" else 80
