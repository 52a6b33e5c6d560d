-- Deletes a draft.
DELETE FROM incident_drafts WHERE incident_id = %(incident_id)s AND user_id = %(user_id)s AND data IS NOT NULL
