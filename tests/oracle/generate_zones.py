"""Zones and moments that histories are made around."""

ODD_ZONES = (
    *("Europe/Berlin", "America/Havana", "Atlantic/Azores", "America/St_Johns", "Australia/Lord_Howe"),
    *("Africa/Cairo", "America/Santiago", "Pacific/Chatham", "Pacific/Apia", "Asia/Kolkata", "Antarctica/Casey"),
    *("America/Asuncion", "Antarctica/Troll", "Asia/Gaza", "Asia/Beirut", "Asia/Kathmandu", "Africa/Casablanca"),
    *("America/Sao_Paulo", "Asia/Tehran", "America/New_York", "Australia/Adelaide", "America/Scoresbysund", "UTC"),
)
