-- The other users who edit these incidents: one row per user, with the field of the socket that was updated last.
SELECT DISTINCT ON (incident_id, user_id) incident_id, user_id, user_name, field
FROM presence_leases
WHERE editing AND expires_at > now() AND incident_id = ANY (%(incidents)s) AND user_id <> %(user_id)s
ORDER BY incident_id, user_id, expires_at DESC
