"""Plays node/play.mjs: installs what it imports, runs it, and gives it its cues."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import ByteReceiveStream
from anyio.streams.text import TextReceiveStream

NODE = Path(__file__).parent / "node"
INSTALL_PATIENCE_S = 180
PLAY_PATIENCE_S = 120.0

Steps = dict[str, dict[str, Any]]
Cues = Mapping[str, Callable[[], Awaitable[None]]]


def packages(kept_in: Path) -> Path:
    """The node_modules that package-lock.json asks for, installed once. Skips the test where that cannot be done."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are needed to play a front end")
    manifest = [NODE / "package.json", NODE / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in manifest)).hexdigest()[:16]
    kept = kept_in / digest
    if kept.exists():
        return kept / "node_modules"
    fresh = Path(tempfile.mkdtemp(dir=kept_in))
    for file in manifest:
        shutil.copy(file, fresh)
    installing = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(installing, cwd=fresh, check=True, capture_output=True, text=True, timeout=INSTALL_PATIENCE_S)
        fresh.rename(kept)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(fresh)
        pytest.skip(f"npm cannot install axios and socket.io-client here: {str(error.stderr)[-300:]}")
    except OSError:  # another worker of pytest was faster
        shutil.rmtree(fresh)
    return kept / "node_modules"


def script(folder: Path, node_modules: Path) -> Path:
    """The play in a folder from which Node finds the packages: imports are looked up from where a script lies."""
    for file in NODE.glob("*.mjs"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(node_modules)
    return folder / "play.mjs"


async def perform(play: Path, told: Mapping[str, Any], cues: Cues) -> Steps:
    """What the script told, by step, up to where it failed: then the last one is `failed`."""
    steps: Steps = {}
    environment = {**os.environ, "PLAY": json.dumps(told)}
    with anyio.fail_after(PLAY_PATIENCE_S):
        async with await anyio.open_process(["node", str(play)], env=environment, stderr=None) as process:
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                facts: dict[str, Any] = json.loads(line)
                if "cue" in facts:
                    await cues[facts["cue"]]()
                else:
                    steps[facts.pop("step")] = facts
    return steps


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    rest = ""
    async for piece in TextReceiveStream(stream):
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            yield line
