"""Runs node/scenario.mjs: installs its packages, starts it, and handles its actions."""

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
SCENARIO_PATIENCE_S = 120.0

Steps = dict[str, dict[str, Any]]
Actions = Mapping[str, Callable[[], Awaitable[None]]]


def install_packages(cache_folder: Path) -> Path:
    """Installs the packages of package-lock.json once and returns the path of node_modules. Skips the test if Node or
    npm is missing, or if npm fails."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are needed to run a front end")
    manifest = [NODE / "package.json", NODE / "package-lock.json"]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in manifest)).hexdigest()[:16]
    installed = cache_folder / digest
    if installed.exists():
        return installed / "node_modules"
    fresh = Path(tempfile.mkdtemp(dir=cache_folder))
    for file in manifest:
        shutil.copy(file, fresh)
    npm_command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(npm_command, cwd=fresh, check=True, capture_output=True, text=True, timeout=INSTALL_PATIENCE_S)
        fresh.rename(installed)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        shutil.rmtree(fresh)
        pytest.skip(f"npm cannot install axios and socket.io-client here: {str(error.stderr)[-300:]}")
    except OSError:  # another pytest worker has installed them first
        shutil.rmtree(fresh)
    return installed / "node_modules"


def script(folder: Path, node_modules: Path) -> Path:
    """Copies the scenario to a folder with node_modules and returns its path. Node resolves imports from the folder of
    the script."""
    for file in NODE.glob("*.mjs"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to(node_modules)
    return folder / "scenario.mjs"


async def run_scenario(file: Path, parameters: Mapping[str, Any], actions: Actions) -> Steps:
    """Runs the scenario and returns the facts of each step by name. `actions`: the functions that the scenario can
    request. If the scenario fails, the last step is `failed`."""
    steps: Steps = {}
    environment = {**os.environ, "SCENARIO": json.dumps(parameters)}
    with anyio.fail_after(SCENARIO_PATIENCE_S):
        async with await anyio.open_process(["node", str(file)], env=environment, stderr=None) as process:
            assert process.stdout is not None
            async for line in _lines(process.stdout):
                facts: dict[str, Any] = json.loads(line)
                if "action" in facts:
                    await actions[facts["action"]]()
                else:
                    steps[facts.pop("step")] = facts
    return steps


async def _lines(stream: ByteReceiveStream) -> AsyncIterator[str]:
    """Yields the complete lines of a stream."""
    rest = ""
    async for piece in TextReceiveStream(stream):
        *whole, rest = (rest + piece).split("\n")
        for line in whole:
            yield line
