"""Checks of response bodies."""

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import anyio

from prober.judge import Judgement
from prober.outcome import Outcome
from prober.probes import Engine, run_check
from tests.prober import targets
from tests.prober.encoders import raw_deflate
from tests.prober.services import http_service
from tests.prober.targets import serving


async def check(probe_engine: Engine, raw: bytes, **fields: Any) -> tuple[Outcome, Judgement]:
    """Checks a target that responds with `raw`."""
    async with serving(targets.responding(raw)) as port:
        service = http_service(id="target", endpoint_url=f"http://127.0.0.1:{port}/", timeout_ms=5000, **fields)
        with anyio.fail_after(120):
            outcome, judgement, _ = await run_check(service, probe_engine)
    return outcome, judgement


def coded(body: bytes, *codings: str, line: str = "Content-Encoding: {}", headers: str = "") -> bytes:
    """A response whose body is encoded with these codings in turn. Each coding has its own header line."""
    encoders: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "raw": raw_deflate,
    }
    for coding in codings:
        body = encoders[coding](body)
    lines = "".join(line.format(coding.replace("raw", "deflate")) + "\r\n" for coding in codings)
    return targets.http_response(body, headers=lines + headers)
