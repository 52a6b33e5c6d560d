-- What the site of the pages' tests holds beside the demo's services, in the transaction that makes up their past.

UPDATE services
SET demo             = false,
    interval_seconds = 900,
    group_name       = CASE WHEN id IN ('demo-healthy', 'demo-slow', 'demo-failing') THEN 'Shop' ELSE 'Platform' END;

INSERT INTO services (id, name, description, endpoint_url, interval_seconds, group_name, tags, public)
VALUES ('secret-vault', 'Vault XK-4711', 'Nobody outside hears of XK-4711', 'http://xk-4711.invalid/health', 900,
        'Cellar XK-4711', '{xk-4711}', false);

-- A third of the checks says as much to a page. The vault has been as the shop, and is down for two hours now.
DELETE FROM incoming_checks WHERE date_part('minute', scheduled_at)::integer % 15 <> 0;

UPDATE incoming_checks SET interval_seconds = 900;

INSERT INTO incoming_checks
SELECT (jsonb_populate_record(incoming_checks, '{"service_id": "secret-vault"}')).*
FROM incoming_checks
WHERE service_id = 'demo-healthy';

UPDATE incoming_checks
SET success = false, severity = 'mo', status_code = 500, error_type = 'http_error',
    error_message = 'HTTP 500 from XK-4711, expected 200'
WHERE service_id = 'secret-vault' AND scheduled_at > now() - interval '2 hours';

INSERT INTO incidents (id, title, description, status, severity, priority, author, public, postmortem, created_at, resolved_at)
SELECT id, title, description, status::incident_status, severity::incident_severity, priority::incident_priority, 'vault-keeper',
       public, postmortem, now() - began, now() - ended
FROM (VALUES
    ('INC-2026-0001', 'Search answers slowly', 'Searches time out for some customers.', 'resolved', 'low', 'P3', true,
     NULL, interval '37 days', interval '36 days 22 hours'),
    ('INC-2026-0002', 'Names of the platform are not found', NULL, 'resolved', 'medium', 'P2', true,
     NULL, interval '24 days', interval '23 days 23 hours'),
    ('INC-2026-0003', 'The shop refuses connections', E'The shop cannot be reached.\n\n- **Orders** are not taken\n- Carts are kept',
     'resolved', 'critical', 'P1', true,
     'A certificate of the load balancer was renewed *without* a reload. It reloads by itself now.',
     interval '9 days', interval '8 days 23 hours'),
    ('INC-2026-0004', 'The platform shows the certificate of another host', NULL, 'monitoring', 'medium', 'P2', true,
     NULL, interval '2 days 5 hours', NULL),
    ('INC-2026-0005', 'The door of XK-4711 is stuck', 'XK-4711 does not open.', 'investigating', 'critical', 'P1', false,
     NULL, interval '2 hours', NULL),
    ('INC-2026-0006', 'Checkout answers with errors', E'Nobody can pay. What is in a cart *stays* there.', 'identified', 'high',
     'P1', true, NULL, interval '3 hours', NULL)
) AS written (id, title, description, status, severity, priority, public, postmortem, began, ended);

INSERT INTO incident_services (incident_id, service_id)
VALUES ('INC-2026-0001', 'demo-slow'),
       ('INC-2026-0002', 'demo-dead-name'),
       ('INC-2026-0003', 'demo-healthy'),
       ('INC-2026-0003', 'demo-failing'),
       ('INC-2026-0004', 'demo-wrong-certificate'),
       ('INC-2026-0005', 'secret-vault'),
       ('INC-2026-0006', 'demo-failing'),
       ('INC-2026-0006', 'secret-vault');

-- Their triggers would say that all was written now.
ALTER TABLE incident_updates DISABLE TRIGGER USER;

INSERT INTO incident_updates (id, incident_id, version, status, description, author, created_at)
SELECT row_number() OVER (), incident_id, 1, status::incident_status, description, 'vault-keeper', now() - ago
FROM (VALUES
    ('INC-2026-0001', 'resolved',      'The index is rebuilt; searches are as fast as before.',      interval '36 days 22 hours'),
    ('INC-2026-0002', 'resolved',      '',                                                           interval '23 days 23 hours'),
    ('INC-2026-0003', 'investigating', 'We look into it.',                                           interval '8 days 23 hours 50 minutes'),
    ('INC-2026-0003', 'identified',    'The load balancer shows an old certificate.',                interval '8 days 23 hours 30 minutes'),
    ('INC-2026-0003', 'resolved',      'The shop takes orders again.',                               interval '8 days 23 hours'),
    ('INC-2026-0004', 'identified',    'The wrong certificate was rolled out.',                      interval '2 days 4 hours'),
    ('INC-2026-0004', 'monitoring',    'The right one is on its way to all hosts.',                  interval '20 hours'),
    ('INC-2026-0005', 'investigating', 'Somebody is on the way to XK-4711.',                         interval '1 hour'),
    ('INC-2026-0006', 'investigating', 'We see errors at checkout.',                                 interval '2 hours 50 minutes'),
    ('INC-2026-0006', 'identified',    'A release broke payments; it is being **rolled back**.',     interval '2 hours')
) AS said (incident_id, status, description, ago);

ALTER TABLE incident_updates ENABLE TRIGGER USER;

INSERT INTO incident_comments (incident_id, author, text, public, created_at)
VALUES ('INC-2026-0006', 'vault-keeper', 'Payments by invoice still work.',    true,  now() - interval '100 minutes'),
       ('INC-2026-0006', 'vault-keeper', 'Release 4711 is the culprit, XK-4711', false, now() - interval '90 minutes');

INSERT INTO maintenance_windows (id, title, description, affected_services, starts_at, ends_at, time_zone, public, author)
SELECT ('5f0c2a52-8f0e-4d3e-9d43-00000000000' || number)::uuid, title, description, services, tomorrow + begins, tomorrow + ends,
       reporting_time_zone(), public, 'vault-keeper'
FROM (VALUES
    (1, 'The search index moves', 'Searches may be slow for some minutes.', '{demo-slow}'::text[], interval '2 hours',
     interval '4 hours', true),
    (2, 'XK-4711 gets new hinges', NULL, '{secret-vault}', interval '3 hours', interval '5 hours', false)
) AS planned (number, title, description, services, begins, ends, public)
CROSS JOIN (SELECT date_trunc('day', now(), reporting_time_zone()) + interval '1 day' AS tomorrow) AS calendar;

INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
SELECT id, starts_at, ends_at, affected_services FROM maintenance_windows;

INSERT INTO templates (name, description, title, severity, priority, affected_services, incident_description, first_update, author)
VALUES ('Outage of the shop', 'When nobody can buy', 'The shop is down', 'critical', 'P1', '{demo-healthy,demo-failing}',
        'The shop cannot be reached.', 'We look into it.', 'vault-keeper');
