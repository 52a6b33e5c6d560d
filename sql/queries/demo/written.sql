-- Adds the texts of users to the demo's past: one open and two resolved incidents, planned maintenance, and a template.
-- Several statements, since the triggers of updates read their incident.
INSERT INTO incidents (title, description, status, severity, priority, author, created_at, resolved_at)
SELECT title, description, status::incident_status, severity::incident_severity, priority::incident_priority, 'demo',
       now() - began, now() - ended
FROM (VALUES
    ('The shop refused connections', 'The shop could not be reached for a quarter of an hour.', 'resolved', 'critical', 'P1',
     interval '9 days', interval '8 days 23 hours'),
    ('The platform shows the certificate of another host', NULL, 'resolved', 'medium', 'P2',
     interval '2 days 5 hours', interval '1 day'),
    ('Checkout answers with errors', E'Nobody can pay. What is in a cart *stays* there.', 'investigating', 'high', 'P1',
     interval '3 hours', NULL)
) AS written (title, description, status, severity, priority, began, ended)
ORDER BY began DESC;

INSERT INTO incident_services (incident_id, service_id)
SELECT incidents.id, service_id
FROM incidents
JOIN (VALUES ('The shop refused connections',                       'demo-healthy'),
             ('The platform shows the certificate of another host', 'demo-wrong-certificate'),
             ('Checkout answers with errors',                       'demo-failing'))
    AS affected (title, service_id) USING (title);

INSERT INTO incident_updates (incident_id, status, description)
SELECT id, 'identified', 'A release broke payments; it is being **rolled back**.'
FROM incidents
WHERE title = 'Checkout answers with errors';

WITH planned AS (
    INSERT INTO maintenance_windows (title, description, affected_services, starts_at, ends_at, time_zone, author)
    SELECT 'The search index moves', 'Searches may be slow for some minutes.', '{demo-slow}', tomorrow + interval '2 hours',
           tomorrow + interval '4 hours', reporting_time_zone(), 'demo'
    FROM (SELECT date_trunc('day', now(), reporting_time_zone()) + interval '1 day' AS tomorrow) AS calendar
    RETURNING id, affected_services, starts_at, ends_at
)
INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
SELECT id, starts_at, ends_at, affected_services
FROM planned;

INSERT INTO templates (name, description, title, severity, priority, affected_services, author)
VALUES ('Outage of the shop', 'For whenever the shop cannot be reached', 'The shop cannot be reached', 'critical', 'P1',
        '{demo-healthy}', 'demo');
