"""HTTP and HTTPS: a request on a new connection and the redirects that follow it, within one deadline."""

import asyncio
import re
from contextlib import suppress
from functools import partial
from string import punctuation
from typing import Any
from urllib.parse import quote, urljoin

import pycurl

from prober.outcome import Certificate, Outcome, ProberTrouble, TargetDenied, printable
from prober.probes import certificates, codings, head
from prober.probes.curl import Engine
from prober.probes.failures import Failure, failure, is_whole, phase_of, timed_out
from prober.probes.http_judgement import is_decided, judge
from prober.probes.request import Shape
from prober.probes.resolver import NameFailure
from prober.probes.target import Target
from prober.probes.transfer import Transfer
from prober.services import Service
from sla_monitor.checks.http import Http
from sla_monitor.formats.host_names import HostNameError

__all__ = ["judge", "probe"]

_REDIRECTS = (301, 302, 303, 307, 308)
_DECODED_AT_ONCE = 64 * 1024
"""A larger compressed body is decoded in a thread: a malicious one would block the event loop."""
_NUMERIC_HOST = re.compile(r"[0-9.]+|\[.*")
_STREAMS = ("text/event-stream", "multipart/x-mixed-replace", "audio/", "video/")
"""Media types whose body is endless if the response has no Content-Length."""


class _Chain:
    """The sums over the hops of one attempt. A hop is a request: the first one, or one that follows a redirect. Times
    are milliseconds; None means that the phase has not happened."""

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
        """Adds the times of a finished hop. libcurl's times are microseconds since its start; 0 means that the phase
        did not happen."""
        info = transfer.curl.getinfo
        self.total += info(pycurl.TOTAL_TIME_T) / 1000
        connected = info(pycurl.CONNECT_TIME_T)
        if not connected:
            return
        self.connect = (self.connect or 0.0) + (connected - info(pycurl.NAMELOOKUP_TIME_T)) / 1000
        self.address = info(pycurl.PRIMARY_IP)
        if transfer.secure:
            secured = info(pycurl.APPCONNECT_TIME_T)
            if not secured:  # the handshake failed; libcurl sets the later times to that moment
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
    """Makes one attempt, which ends at `deadline` (loop time) at the latest. Raises `ProberTrouble`.

    Redirects keep the method as in RFC 9110: 307 and 308 always, 301 and 302 unless it is POST; 303 changes it to GET.
    The headers and credentials of the service are not sent to another origin; the body is sent again after 307 and 308,
    also to another origin. Cookies of a response are sent with the next hops as their domain, path and security allow,
    and are deleted after the check.
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
                return chain.outcome(("dns_error", f"invalid redirect: {error}"))
            except ValueError as error:
                return chain.outcome(("http_error", f"invalid redirect: {error}"))
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
    """Makes one request and adds it to the chain. Returns the failure, or None."""
    chain.status = chain.address = None
    resolve: list[str] = []
    if _NUMERIC_HOST.fullmatch(target.host) is None:
        begun = engine.loop.time()
        try:
            found = await engine.resolver.addresses(target.host, deadline)
        except (NameFailure, TimeoutError) as error:
            chain.total += (engine.loop.time() - begun) * 1000
            if isinstance(error, NameFailure):
                return "dns_error", str(error)
            return timed_out(service, "while looking up the name", deadline, engine)
        chain.total += found.ms
        chain.dns = (chain.dns or 0.0) + found.ms
        resolve = [f"+{target.host}:{target.port}:{','.join(found.addresses)}"]
    # At least 1 ms: for libcurl, 0 is no limit.
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
    if transfer.certain(transfer):  # the failure came after the verdict was certain
        transfer.decided = True
        return None
    if transfer.waits and code == pycurl.E_OPERATION_TIMEDOUT:
        raise ProberTrouble("too many large responses at once: raise PROBE_BODIES_MAX_BYTES")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return timed_out(service, phase_of(transfer), deadline, engine)
    try:
        return failure(code, message, transfer)
    except TargetDenied as denied:
        if chain.redirects == 0:
            raise
        return "connection_error", f"redirected: {denied}"  # the service responded, but its redirect cannot be followed


def _is_certain(config: Http, limit: int, transfer: Transfer) -> bool:
    """Whether the rest of the body cannot change the verdict on the response."""
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
    """The outcome of a response whose body the verdict needs. The body is decoded, at most `limit` bytes of it."""
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
    """The target of a redirect, or None. Bytes that are not UTF-8 are percent-encoded, as browsers do."""
    try:
        location: str | None = transfer.curl.getinfo(pycurl.REDIRECT_URL)
    except UnicodeDecodeError:
        location = quote(transfer.curl.getinfo_raw(pycurl.REDIRECT_URL), safe=punctuation)
    if location is None:  # libcurl sets it only at the end of the body
        for stated in head.values(transfer.head, b"location")[:1]:
            location = quote(stated.encode("latin-1"), safe=punctuation)
            with suppress(ValueError):  # Target reports an invalid URL
                location = urljoin(target.url, location)
    return location


def _redirected(shape: Shape, status: int, target: Target, onward: Target) -> Shape:
    method, body = shape.method, shape.body
    if (status == 303 and method != "HEAD") or (status in (301, 302) and method == "POST"):
        method, body = "GET", None
    if target.trusts(onward):
        return Shape(method, shape.headers, body, shape.verify_tls, onward.credentials or shape.credentials)
    return Shape(method, {}, body, shape.verify_tls, onward.credentials)
