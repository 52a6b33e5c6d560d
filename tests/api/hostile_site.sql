-- Inserts one row of every resource for each text: texts of users and texts in responses of targets. Columns that accept only one
-- line get `line`, the text on one line.
INSERT INTO services (id, name, description, endpoint_url, keyword, json_value, body, group_name, tags, headers)
SELECT 's' || n, line, text, 'http://x.invalid/"><script>alert(1)</script>', line, line, text, line, ARRAY[left(line, 50)],
       jsonb_build_object('X-Text', text)
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO locations (id, name) VALUES ('local', %(first)s);

INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                             total_ms, attempts, error_type, error_message, certificate_expires_at, certificate_issuer)
SELECT 's' || n, 'local', at, at + interval '1 second', 3600, 500, false, 'mo', 5, 1, 'http_error', text,
       now() + interval '20 days', text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n)
CROSS JOIN (VALUES (date_trunc('second', now()) - interval '90 minutes'), (date_trunc('second', now()))) AS moment (at);

SELECT record_checks();

INSERT INTO incidents (id, title, description, severity, priority, reporter, detection_criteria, postmortem, created_by, author)
SELECT 'INC-2026-' || lpad(n::text, 4, '0'), line, text, 'high', 'P1', line, text, text, %(user_id)s, text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO incident_services (incident_id, service_id)
SELECT 'INC-2026-' || lpad(n::text, 4, '0'), 's' || n
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO incident_updates (incident_id, status, description)
SELECT 'INC-2026-' || lpad(n::text, 4, '0'), 'identified', text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO incident_comments (incident_id, author, text, public)
SELECT 'INC-2026-' || lpad(n::text, 4, '0'), text, text, public
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n)
CROSS JOIN (VALUES (true), (false)) AS seen (public);

INSERT INTO incident_drafts (incident_id, user_id, data, base_version, saved_at)
SELECT 'INC-2026-' || lpad(n::text, 4, '0'), %(user_id)s,
       jsonb_build_object('title', line, 'description', text, 'severity', text, 'update', text), 1, now()
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO maintenance_windows (id, title, description, affected_services, starts_at, ends_at, time_zone, author)
SELECT format('00000000-0000-4000-8000-%%s', lpad(n::text, 12, '0'))::uuid, line, text, ARRAY['s' || n],
       date_trunc('minute', now()) + interval '1 hour', date_trunc('minute', now()) + interval '2 hours', 'UTC', text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
SELECT id, starts_at, ends_at, affected_services FROM maintenance_windows;

INSERT INTO templates (id, name, description, title, severity, priority, affected_services, incident_description, first_update, author)
SELECT format('00000000-0000-4000-9000-%%s', lpad(n::text, 12, '0'))::uuid, left(n || line, 100), text, line, 'high', 'P1',
       ARRAY['s' || n], text, text, text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO api_tokens (id, owner_id, name, role, token_hash)
SELECT format('00000000-0000-4000-a000-%%s', lpad(n::text, 12, '0'))::uuid, %(user_id)s, line, 'viewer', sha256(n::text::bytea)
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO holiday_calendars (name) VALUES ('Holidays');

INSERT INTO holidays (calendar, day, name)
SELECT 'Holidays', '2026-01-01'::date + n::integer, left(line, 100)
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO sla_policies (id, scope, subject)
SELECT format('00000000-0000-4000-b000-%%s', lpad(n::text, 12, '0'))::uuid, 'group', left(line, 100)
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);

INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, holiday_calendar, author)
SELECT format('00000000-0000-4000-b000-%%s', lpad(n::text, 12, '0'))::uuid, version, '2026-01-01', left(line, 100), 99 + 0.1 * version,
       'UTC', 'Holidays', text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n)
CROSS JOIN generate_series(1, 2) AS version;

INSERT INTO sla_corrections (id, scope, subject, effect, category, reason, starts_at, ends_at, time_zone, author)
SELECT format('00000000-0000-4000-c000-%%s', lpad(n::text, 12, '0'))::uuid, 'tag', left(line, 100), 'up', 'other', text,
       date_trunc('minute', now()) - interval '2 hours', date_trunc('minute', now()) - interval '1 hour', 'UTC', text
FROM unnest(%(texts)s::text[], %(lines)s::text[]) WITH ORDINALITY AS written (text, line, n);
