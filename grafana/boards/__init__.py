"""The dashboards. `make grafana` writes them as JSON."""

from grafana.boards.latency import latency
from grafana.boards.levels import levels
from grafana.boards.overview import overview
from grafana.boards.probers import probers
from grafana.boards.service import service

DASHBOARDS = {"overview": overview, "service": service, "sla": levels, "latency": latency, "probers": probers}
"""The function of each dashboard by the name of its file."""
