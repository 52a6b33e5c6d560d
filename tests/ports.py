"""Free ports for programs that tests and benchmarks start."""

import random
import socket

LOWEST, HIGHEST = 12_000, 32_000
"""Below the ports that the kernel gives to outgoing connections (from 32768 on Linux, from 49152 elsewhere): another
process cannot get one of those between the choice of the port and its use."""
ATTEMPTS = 100


def free_port() -> int:
    """Returns a port on 127.0.0.1 that no process listens on. Raises OSError if none is found."""
    for _ in range(ATTEMPTS):
        port = random.SystemRandom().randint(LOWEST, HIGHEST)  # not the same ports in each process of the suite
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError(f"no free port in {ATTEMPTS} attempts")


def free_ports() -> tuple[int, int]:
    """Returns two different free ports."""
    one = free_port()
    while (two := free_port()) == one:
        pass
    return one, two
