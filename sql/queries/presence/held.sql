-- How many leases of a process there are.
SELECT count(*) AS held FROM presence_leases WHERE process_id = %(process_id)s
