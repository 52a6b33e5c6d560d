"""The names of rooms: those that clients join by name, and those that the server joins for them."""

PUBLIC_ROOMS = frozenset({"system-status", "uptime"})
STAFF_ROOMS = {room: f"{room}-inside" for room in PUBLIC_ROOMS}
"""The rooms for events of private services. Staff who join the public room also join this one."""
EVERYONE = None
"""The room of events that have no room. Every client joins it, after the replay of missed events."""
ANONYMOUS = "anonymous"
STAFF = "staff"
"""Every client is in one of these two rooms. The server decides which; clients cannot join or leave them."""
ANONYMOUS_ROOMS = PUBLIC_ROOMS | {EVERYONE, ANONYMOUS}
"""The rooms that anonymous clients can be in."""
