-- Who else is editing an incident; one row a person.
SELECT DISTINCT ON (user_id) user_id::text AS user_id, user_name, field
FROM presence_leases
WHERE incident_id = %(incident_id)s
  AND user_id <> %(user_id)s
  AND editing
  AND expires_at > now()
ORDER BY user_id, expires_at DESC
