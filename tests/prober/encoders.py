"""Content encodings for tests, and two Brotli bodies."""

import gzip
import zlib
from collections.abc import Callable

import pytest

from prober.probes import brotli

BROTLI_FATAL = bytes.fromhex("1b5702f88dd4582d39bb3208c4a898a8a2b638008325")
"""100 times `FATAL `, as a constant because no library of the tests encodes Brotli."""
BROTLI_BOMB = bytes.fromhex("cbffff3ff82700e2b14020f7fe8fffff7ff04f00c4611180eefddf")
"""16 MiB of zeros."""
needs_brotli = pytest.mark.skipif(not brotli.AVAILABLE, reason="libcurl without Brotli")


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "gzip of two members": ("gzip", lambda body: gzip.compress(body[:7]) + gzip.compress(body[7:])),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
}
