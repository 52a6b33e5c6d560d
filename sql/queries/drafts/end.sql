-- Its user has saved the incident: there is no draft any more, and what they typed before is not to become one.
INSERT INTO incident_drafts (incident_id, user_id, data, base_version, saved_at)
SELECT incidents.id, users.id, NULL, version, now()
FROM incidents, users
WHERE incidents.id = %(incident_id)s AND users.id = %(user_id)s
ON CONFLICT (incident_id, user_id) DO UPDATE
    SET data = NULL, base_version = excluded.base_version, saved_at = excluded.saved_at
