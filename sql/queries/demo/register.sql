-- Adds the services of the demo. They are checked every ten seconds, so that changes are seen soon.
INSERT INTO services (id, name, description, endpoint_url, interval_seconds, timeout_ms, degraded_after_ms, group_name, tags,
                      demo)
SELECT id, name, description, endpoint_url, 10, 5000, 800, 'Demo', '{demo}', true
FROM jsonb_to_recordset(%(services)s) AS given (id text, name text, description text, endpoint_url text)
