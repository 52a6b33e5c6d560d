"""Listening sockets, and the one line that says why there is none."""

import errno
import socket
from contextlib import ExitStack

from sla_monitor.settings import ENVIRONMENT, Settings, StartError

BACKLOG = 128


class PortError(StartError):
    """The port cannot be listened on; the text is one line that names the setting."""


def bind(settings: Settings, program: str, backlog: int = BACKLOG) -> socket.socket:
    """A listening socket on `<program>_host` and `<program>_port`, or `PortError`. It is bound before anything else of
    a program is started."""
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
            raise PortError(f"{port_variable}={port} on {host} is taken: set {port_variable} to a free port") from None
        raise PortError(
            f"{port_variable}={port} on {host_variable}={host} cannot be listened on: {error.strerror}"
        ) from None
    listening.setblocking(False)
    return listening


def need_ports(settings: Settings, *programs: str) -> None:
    """Raises `PortError` where the port of one of these programs cannot be had now, be it for another one of them."""
    with ExitStack() as taken:
        for program in programs:
            taken.enter_context(bind(settings, program))
