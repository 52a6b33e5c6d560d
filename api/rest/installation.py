"""The parts that an installation has before the application is built: the pool of connections and the settings."""

from api.rest.parts import Part
from sla_monitor.settings import Settings
from sql import Pool

POOL = Part[Pool]("pool")
SETTINGS = Part[Settings]("settings")
