"""The limit of open connections for each client."""

from collections.abc import Callable, Mapping
from typing import Any

from api.edge.asgi import Receive, Scope, Send
from api.edge.client_address import client_address, client_key, client_of, is_proxy
from api.edge.messages import error_messages
from api.rest.errors import ApiError
from sla_monitor.serving.connections import RETRY_AFTER_S, Connections, Fault, HttpProtocol
from sla_monitor.settings import Settings

HTTP_CONNECTIONS = 1000
"""The limit for all clients, in addition to SOCKET_LIMIT: every WebSocket begins as an HTTP connection, and after a
restart all clients reconnect at once."""
CONNECTIONS_PER_CLIENT = 400
"""The limit for one address, which may be that of an office with 50 browsers."""


class Clients(Connections):
    """Counts connections by the client's address, IPv6 by /64. A connection of a trusted proxy counts for the client of
    its current request."""

    def __init__(self, settings: Settings, count_fault: Callable[[Fault], object]) -> None:
        sockets_per_client = min(settings.sockets_per_address, settings.socket_limit)
        super().__init__(
            settings.socket_limit + HTTP_CONNECTIONS, sockets_per_client + CONNECTIONS_PER_CLIENT, count_fault
        )
        self._trusted = settings.trusted_proxies

    def client_of_peer(self, peer: str) -> str | None:
        return None if is_proxy(peer, self._trusted) else client_key(client_address(peer, (), ()))

    def client_of_request(self, scope: Mapping[str, Any]) -> str | None:
        peer = scope.get("client")
        return client_key(client_of(scope, self._trusted)) if peer and is_proxy(peer[0], self._trusted) else None


class ProxiedHttpProtocol(HttpProtocol):
    """The protocol of HTTP connections if TRUSTED_PROXIES is set. During a request of a proxy, its connection counts
    for the client of that request."""

    _counted_for_client = False

    def on_headers_complete(self) -> None:
        connections = self.config.connections
        client = connections.client_of_request(self.scope)
        if client is not None:
            self._counted_for_client = True
            if not connections.admit(self, client):
                connections.report("too_many_connections", self.client)
                self.app = _too_many_connections
        super().on_headers_complete()
        self.app = self.config.loaded_app

    def on_response_complete(self) -> None:
        if self._counted_for_client:
            self._counted_for_client = False
            self.config.connections.admit(self, None)
        super().on_response_complete()


async def _too_many_connections(scope: Scope, receive: Receive, send: Send) -> None:
    retry_after = {"Retry-After": str(RETRY_AFTER_S)}
    error = ApiError(429, "too_many_connections", headers=retry_after)
    for message in error_messages(error, [(b"connection", b"close")]):
        await send(message)
