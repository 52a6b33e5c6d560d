"""The benchmark as a document: the table, the machine, the versions, and a part that people write and that is kept."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.children import ROOT
from bench.probing import find_blackbox
from bench.report import HEADINGS, Line
from tests.browsers import find_browser

KEPT = "## What limits the lines that miss their target"
_HINT = (
    "<!-- Written by hand. `python -m bench --output` keeps everything from this heading to the end of the file. -->"
)


def write(path: Path, lines: Sequence[Line], facts: Mapping[str, str], closing: str) -> list[str]:
    """Writes the document anew, but for the part below KEPT. Returns the lines that miss and are not named there."""
    old = path.read_text("utf-8") if path.exists() else ""
    found = old.find(KEPT)
    kept = old[found:] if found >= 0 else f"{KEPT}\n\n{_HINT}\n"
    path.write_text(f"{_measured(lines, facts, closing)}\n{kept}", "utf-8")
    return [line.what for line in lines if line.verdict == "missed" and line.what not in kept]


def facts(versions: Mapping[str, str]) -> dict[str, str]:
    """What the figures hold for; `versions` are the engines'."""
    others = {
        "blackbox_exporter": _version(find_blackbox()),
        "Chromium": _version(find_browser()),
        "Commit": _said("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }
    return {
        "Command": " ".join(["python -m bench", *sys.argv[1:]]),
        "Date": f"{datetime.now(UTC):%Y-%m-%d}",
        "Machine": f"{os.cpu_count()} cores, {_processor()}, {_memory_gib():.0f} GiB of memory",
        "System": f"Linux {platform.release()}, Python {platform.python_version()}",
        **{f"Engine {name}": version for name, version in versions.items()},
        **{name: version or "not there" for name, version in others.items()},
    }


def _measured(lines: Sequence[Line], facts: Mapping[str, str], closing: str) -> str:
    said = [
        "# Benchmark",
        "",
        "Made by `python -m bench --output`. Each figure stands beside a peer's or a limit's from the same run.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        _row(("what", *HEADINGS[1:])),
        _row(["---"] * len(HEADINGS)),
        *(_row(line.cells()) for line in lines),
        "",
        *closing.strip().splitlines(),
        "",
        "## How each line was measured",
        "",
        *(f"- **{line.what}**: {' '.join(line.note.split())}" for line in lines if line.note),
        "",
    ]
    return "\n".join(said)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _processor() -> str:
    found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return " ".join(found[1].split()) if found else platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3


def _version(program: str | Path | None) -> str:
    """The number that a program says it has; empty where it is not there."""
    found = re.search(r"\d+(?:\.\d+)+", _said(str(program), "--version")) if program else None
    return found[0] if found else ""


def _said(*command: str) -> str:
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (run.stdout + run.stderr).strip() if run.returncode == 0 else ""
