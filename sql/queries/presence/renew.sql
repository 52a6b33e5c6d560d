-- Keeps all leases of a process for another while. It appends no events: so it needs no lock of theirs, and waits for nobody.
UPDATE presence_leases SET expires_at = now() + %(lifetime)s WHERE process_id = %(process_id)s
