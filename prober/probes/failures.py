"""The error types and messages for the codes of libcurl."""

import errno
import os
import re
import socket
from typing import Any

import pycurl

from prober.outcome import ProberTrouble, TargetDenied
from prober.probes import head
from prober.probes.curl import STALL_SECONDS, Engine
from prober.probes.transfer import Transfer
from prober.services import ErrorType, Service

Failure = tuple[ErrorType, str]

_TOO_LARGE = 100  # CURLE_TOO_LARGE, which pycurl does not name
_WEIRD_SERVER_REPLY = 8  # CURLE_WEIRD_SERVER_REPLY, in pycurl E_FTP_WEIRD_SERVER_REPLY
_OUR_TROUBLE = {
    pycurl.E_OUT_OF_MEMORY: "out of memory",
    pycurl.E_FAILED_INIT: "libcurl could not start",
    pycurl.E_ABORTED_BY_CALLBACK: "the transfer was aborted",
    pycurl.E_SSL_CACERT_BADFILE: "the file of CA certificates cannot be read (SSL_CERT_FILE)",
}
_OUR_ERRNO = {
    errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM, errno.EACCES,
    errno.ENETDOWN,
}  # fmt: skip
_TLS = {
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_CERTPROBLEM, pycurl.E_SSL_CIPHER, pycurl.E_SSL_ISSUER_ERROR,
    pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_INVALIDCERTSTATUS, pycurl.E_SSL_PINNEDPUBKEYNOTMATCH,
    pycurl.E_USE_SSL_FAILED, pycurl.E_SSL_CRL_BADFILE,
}  # fmt: skip
_NOT_HTTP = {_WEIRD_SERVER_REPLY, pycurl.E_UNSUPPORTED_PROTOCOL, pycurl.E_RECV_ERROR}
# Messages for the verification results of OpenSSL (x509_vfy.h) whose own messages are unclear.
_CERTIFICATE = {
    9: "the certificate is not valid yet",
    10: "the certificate has expired",
    18: "self-signed certificate",
    19: "self-signed certificate in the chain: its CA is not trusted",
    20: "the certificate's issuer is not trusted, or an intermediate certificate is missing",
    21: "the certificate's issuer is not trusted, or an intermediate certificate is missing",
    23: "the certificate is revoked",
    62: "the certificate is for another host",
    64: "the certificate is for another host",
}
_NO_CLOSE_NOTIFY = ("unexpected eof while reading", "SSL_ERROR_SYSCALL, errno 0")
_OPENSSL = re.compile(r"SSL routines:[^:]*:([^,(]+)")
# The names that OpenSSL gives to TLS alerts: "ssl/tls alert handshake failure", "tlsv1 unrecognized name".
_ALERT = re.compile(r"(?:sslv3|ssl/tls|tlsv1(?:\.?3)?) (?:alert )?(.+)")
_ALERT_MEANS = {
    "certificate required": "the server requires a client certificate",
    "unrecognized name": "the server does not know the host name",
    "protocol version": "the server requires another version of TLS",
}
_CONNECT = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "the network cannot be reached",
    errno.ETIMEDOUT: "no response from the address",
}


def failure(code: int, message: str, transfer: Transfer) -> Failure:
    """The failure of the service for the `code` with which a transfer ended. Raises `ProberTrouble` if the cause is in
    the prober."""
    if transfer.trouble is not None:
        raise ProberTrouble(transfer.trouble)
    if code in _OUR_TROUBLE:
        raise ProberTrouble(f"{_OUR_TROUBLE[code]}: {message}" if message else _OUR_TROUBLE[code])
    if code == pycurl.E_COULDNT_CONNECT:
        return _not_connected(transfer)
    if code in _TLS:
        return "tls_error", _tls(code, message, transfer.curl)
    if code == pycurl.E_COULDNT_RESOLVE_HOST:
        return "dns_error", "name not found"
    if code == pycurl.E_GOT_NOTHING:
        return "connection_error", "the connection was closed without a response"
    if code == pycurl.E_PARTIAL_FILE:
        return "connection_error", f"the connection was closed in the middle of the response ({message})"
    if code in (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR) and transfer.secure:
        if any(words in message for words in _NO_CLOSE_NOTIFY):
            where = "in the middle of the response" if transfer.head else "without a response"
            return "connection_error", f"the connection was closed {where}"
        if _OPENSSL.search(message):
            return "tls_error", _tls(code, message, transfer.curl)
    if code in (pycurl.E_RECV_ERROR, pycurl.E_SEND_ERROR) and "reset" in message.lower():
        return "connection_error", f"connection reset {phase_of(transfer)}"
    if code == pycurl.E_FILESIZE_EXCEEDED:
        return "http_error", "not a valid HTTP response (its Content-Length is too large)"
    if code == _TOO_LARGE or "response headers" in message:
        return "http_error", "the headers of the response are too large (over 300 kB)"
    if code in _NOT_HTTP:
        return "http_error", f"not a valid HTTP response ({message})"
    if code == pycurl.E_SEND_ERROR:
        return "connection_error", f"the request could not be sent ({message})"
    return "unknown_error", f"{message or 'libcurl gave no reason'} (libcurl {code})"


def is_whole(code: int, message: str, transfer: Transfer) -> bool:
    """Whether a transfer that ended with `code` has the whole response, as browsers judge it.

    A body without a length and without chunks ends with the connection. Many servers close a TLS connection without
    close_notify, which libcurl reports as an error.
    """
    return (
        code == pycurl.E_RECV_ERROR
        and transfer.secure
        and any(words in message for words in _NO_CLOSE_NOTIFY)
        and head.is_complete(transfer.head)
        and not head.values(transfer.head, b"content-length")
        and not head.values(transfer.head, b"transfer-encoding")
    )


def phase_of(transfer: Transfer) -> str:
    """The phase in which a transfer ended, such as "while connecting", for a message."""
    info = transfer.curl.getinfo
    if info(pycurl.CONNECT_TIME_T) == 0:
        return "while connecting"
    if transfer.secure and info(pycurl.APPCONNECT_TIME_T) == 0:
        return "during the TLS handshake"
    if info(pycurl.STARTTRANSFER_TIME_T) == 0:
        return "while waiting for the first byte"
    return "while reading the response"


def timed_out(service: Service, phase: str, deadline: float, engine: Engine) -> Failure:
    """The failure of a service that did not respond by `deadline` (loop time). Raises ProberTrouble if the loop was
    blocked."""
    late = engine.loop.time() - deadline
    if late > STALL_SECONDS:
        raise ProberTrouble(f"the event loop was blocked: a timeout was noticed {late:.1f} s after it was due")
    return "timeout", f"timed out after {service.timeout_ms} ms {phase}"


def _not_connected(transfer: Transfer) -> Failure:
    if transfer.denied_address is not None and not transfer.tried:
        raise TargetDenied(f"probes may not connect to {transfer.denied_address} (PROBE_DENY_NETWORKS)")
    number = transfer.curl.getinfo(pycurl.OS_ERRNO)
    if number in _OUR_ERRNO:
        raise ProberTrouble(f"no connection could be made: {os.strerror(number)}")
    if number == errno.ENETUNREACH and not any(_routed(address) for address in transfer.tried):
        raise ProberTrouble(f"the prober has no route to {', '.join(transfer.tried)}")
    return "connection_error", _CONNECT.get(number, os.strerror(number) if number else "no connection")


def _routed(address: str) -> bool:
    """Whether this host has a route to the address. Nothing is sent. If the prober's network has no IPv6, a service
    with an IPv6 address is not down, but unknown."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError:
        return False
    return True


def _tls(code: int, message: str, curl: Any) -> str:
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        verdict = curl.getinfo(pycurl.SSL_VERIFYRESULT)
        if verdict in _CERTIFICATE:
            return _CERTIFICATE[verdict]
        if "subject" in message:
            return _CERTIFICATE[62]
    if "wrong version number" in message or "packet length too long" in message:
        return "the server does not use TLS on this port"
    reason = _OPENSSL.search(message)
    if reason is None:
        return message or "the TLS handshake failed"
    alert = _ALERT.fullmatch(reason[1].strip())
    if alert is None:
        return f"TLS failed: {reason[1].strip()}"
    return f'{_ALERT_MEANS.get(alert[1], "the server refuses the connection")} (TLS alert "{alert[1]}")'
