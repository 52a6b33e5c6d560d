-- Deletes the draft of a user who has saved the incident, and prevents that an older one is stored afterwards.
INSERT INTO incident_drafts (incident_id, user_id, data, base_version, saved_at)
SELECT incidents.id, users.id, NULL, version, now()
FROM incidents, users
WHERE incidents.id = %(incident_id)s AND users.id = %(user_id)s
ON CONFLICT (incident_id, user_id) DO UPDATE
    SET data = NULL, base_version = excluded.base_version, saved_at = excluded.saved_at
