-- Adds an update to the timeline, which also sets the status.
INSERT INTO incident_updates (incident_id, status, description)
VALUES (%(id)s, %(status)s, %(description)s)
RETURNING incident_update_json(incident_updates, true) AS update, version
