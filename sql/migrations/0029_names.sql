-- Functions and a trigger that have other names since; the files in sql/functions create them.
DROP FUNCTION IF EXISTS tell_of_incident(text, incidents, jsonb, jsonb);
DROP FUNCTION IF EXISTS tell_template_update(uuid, uuid, text, jsonb, text);
DROP TRIGGER IF EXISTS incidents_status_told ON incidents;
DROP TRIGGER IF EXISTS services_moved ON services;
DROP FUNCTION IF EXISTS forget_certificates();
