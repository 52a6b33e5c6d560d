-- Renews all leases of a process. It appends no events and so needs no lock.
UPDATE presence_leases SET expires_at = now() + %(lifetime)s WHERE process_id = %(process_id)s
