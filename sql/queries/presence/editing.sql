-- The users who are editing these incidents, except one: a row for each user, with the field of the socket that was renewed last.
SELECT DISTINCT ON (incident_id, user_id) incident_id, user_id, user_name, field
FROM presence_leases
WHERE editing AND expires_at > now() AND incident_id = ANY (%(incidents)s) AND user_id <> %(user_id)s
ORDER BY incident_id, user_id, expires_at DESC
