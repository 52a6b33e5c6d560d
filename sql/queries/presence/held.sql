-- The number of leases of a process.
SELECT count(*) AS held FROM presence_leases WHERE process_id = %(process_id)s
