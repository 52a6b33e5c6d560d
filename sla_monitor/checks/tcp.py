"""TCP: a connection with or without TLS, the text that is sent, and the expected response."""

import re
from typing import Annotated, ClassVar

from sla_monitor.checks.config import ONE_LINE, SECRET, CheckConfig, Labels, denied_problem, labelled, one_line
from sla_monitor.checks.denied_networks import DenyRule
from sla_monitor.checks.problem import Problem
from sla_monitor.formats.host_names import HostNameError, host_name

_ESCAPE = re.compile(rb"\\(x[0-9A-Fa-f]{2}|[rnt0\\]|)")
_MEANINGS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\"}
_LINE = {ONE_LINE: True}

Host = Annotated[
    str, labelled("Host", "호스트", "A name or an address", "이름 또는 주소", min_length=1, max_length=253)
]
Port = Annotated[int, labelled("Port", "포트", ge=1, le=65535)]
Tls = Annotated[bool, labelled("TLS from the start", "처음부터 TLS 사용")]
VerifyTls = Annotated[bool, labelled("Verify the TLS certificate", "TLS 인증서 검증")]
Send = Annotated[
    str,
    labelled(
        "Send",
        "보낼 내용",
        r"Such as PING\r\n; bytes as \x00",
        r"예: PING\r\n. 바이트는 \x00처럼 입력합니다",
        min_length=1,
        max_length=1000,
        extra_json_schema=_LINE | {SECRET: True},
    ),
]
Expect = Annotated[
    str,
    labelled(
        "Expect",
        "기대하는 응답",
        "Must be in the first 64 KiB of the response; escape sequences as in the text to send",
        "응답의 처음 64KiB 안에 있어야 합니다. 보낼 내용과 같은 방식으로 입력합니다",
        min_length=1,
        max_length=1000,
        extra_json_schema=_LINE,
    ),
]


class Tcp(CheckConfig, frozen=True, kw_only=True, tag="tcp"):
    r"""A connection over TCP. In `send` and `expect` `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN` stand for bytes."""

    LABEL: ClassVar[Labels] = {"en": "TCP", "ko": "TCP"}

    host: Host
    port: Port
    tls: Tls = False
    verify_tls: VerifyTls = True
    send: Send | None = None
    expect: Expect | None = None

    @property
    def target(self) -> str:
        return f"{'tls' if self.tls else 'tcp'}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port as in a URL."""
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def problems(self) -> list[Problem]:
        found = one_line(self)
        try:
            host_name(f"[{self.host}]" if ":" in self.host else self.host)
        except HostNameError:
            found.append(Problem("host", "host_name"))
        for name, text in (("send", self.send), ("expect", self.expect)):
            try:
                unescaped(text or "")
            except ValueError:
                found.append(Problem(name, "escape"))
        return found

    def denied(self, rule: DenyRule) -> Problem | None:
        address = rule.denied_in(f"tcp://{self.authority}")
        return denied_problem("host", address) if address is not None else None


def unescaped(text: str) -> bytes:
    """The bytes of `send` or `expect`. Raises ValueError for an unknown escape sequence."""
    return _ESCAPE.sub(_meaning, text.encode("utf-8", "surrogatepass"))


def _meaning(found: re.Match[bytes]) -> bytes:
    if not found[1]:
        raise ValueError("has an unknown escape sequence")
    return _MEANINGS.get(found[1]) or bytes.fromhex(found[1][1:].decode())
