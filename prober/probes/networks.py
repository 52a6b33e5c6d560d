"""The networks that no probe connects to: the rule itself is shared with the API, which warns of them."""

from sla_monitor.checks.denied_networks import DenyRule

__all__ = ["DenyRule"]
