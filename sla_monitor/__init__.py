"""SLA Monitor: what the API, the prober and the worker share, and the command `sla-monitor`."""

from importlib.metadata import version

__version__ = version("sla-monitor")
