"""What processes use: CPU seconds and resident memory, read from /proc (Linux)."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2 :].split()  # the name before it may hold spaces


def tree(pid: int) -> list[int]:
    """A process and all its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its descendants, those that have ended included."""
    ticks = 0
    for each in tree(pid):
        if (fields := _stat(each)) is not None:
            ticks += sum(int(field) for field in fields[11:15])  # utime, stime, and the same of reaped children
    return ticks * _TICK_S


def spent(pid: int, since: float) -> float:
    """CPU seconds since `cpu_seconds` gave `since`; one tick at least, which is the clock's grain."""
    return max(_TICK_S, cpu_seconds(pid) - since)


def rss_mib(pid: int) -> float:
    """Resident memory of one process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise ProcessLookupError(pid)


def send_queue_bytes(port: int) -> int:
    """What the kernel holds for clients of a server on that port that do not read."""
    queued = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            queued += int(fields[4].partition(":")[0], 16)
    return queued
