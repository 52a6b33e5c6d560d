"""Listening sockets of the programs, with error messages that name the setting."""

import errno
import socket
from contextlib import ExitStack

from sla_monitor.settings import ENVIRONMENT, Settings, StartError

BACKLOG = 128


class PortError(StartError):
    """A program cannot listen on its port. The message is one line and names the setting."""


def bind(settings: Settings, program: str, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket on the settings `<program>_host` and `<program>_port`. Raises PortError. A program calls it
    before it starts anything else."""
    host, port = getattr(settings, f"{program}_host"), getattr(settings, f"{program}_port")
    host_variable, port_variable = ENVIRONMENT[f"{program}_host"].name, ENVIRONMENT[f"{program}_port"].name
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise PortError(f"{host_variable}={host} cannot be listened on: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise PortError(f"{port_variable}={port} on {host} is in use: set {port_variable} to a free port") from None
        raise PortError(
            f"{port_variable}={port} on {host_variable}={host} cannot be listened on: {error.strerror}"
        ) from None
    listening.setblocking(False)
    return listening


def require_ports(settings: Settings, *programs: str) -> None:
    """Raises PortError if a port of these programs is in use, or if two of them have the same port."""
    with ExitStack() as bound:
        for program in programs:
            bound.enter_context(bind(settings, program))
