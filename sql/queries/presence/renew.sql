-- Renews all leases of a process. It appends no events, so it needs no lock and does not wait.
UPDATE presence_leases SET expires_at = now() + %(lifetime)s WHERE process_id = %(process_id)s
