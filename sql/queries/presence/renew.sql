-- Keeps all leases of a process for another while; how many they are is in the row count.
UPDATE presence_leases SET expires_at = now() + %(lifetime)s WHERE process_id = %(process_id)s
