"""SLA Monitor: every check a row, every figure SQL."""

from importlib.metadata import version

__version__ = version("sla-monitor")
