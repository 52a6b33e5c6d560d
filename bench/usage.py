"""CPU time, memory and send queues of processes, read from /proc (Linux)."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PARENT = 1
_TIMES = slice(11, 15)
"""utime, stime, cutime and cstime; the last two are those of the children that have ended."""


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/<pid>/stat from the state on; None if the process has ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()  # the name in parentheses may contain spaces


def _process_tree(pid: int) -> list[int]:
    """The process and all its running descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[_PARENT]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process and all its descendants, including those that have ended."""
    ticks = 0
    for each in _process_tree(pid):
        if (fields := _stat(each)) is not None:
            ticks += sum(int(field) for field in fields[_TIMES])
    return ticks * _TICK_S


def cpu_seconds_since(pid: int, before: float) -> float:
    """CPU time since `cpu_seconds` returned `before`; at least one tick, the resolution of the clock."""
    return max(_TICK_S, cpu_seconds(pid) - before)


def memory_mib(pid: int) -> float:
    """The resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def send_queue_bytes(port: int) -> int:
    """The bytes that the kernel keeps for clients of the server at this port until they read them."""
    queued = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            queued += int(fields[4].partition(":")[0], 16)
    return queued
