-- A new service; no row comes back where the id is taken.
INSERT INTO services (id, name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword,
                      keyword_absent, json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries,
                      verify_tls, follow_redirects, group_name, tags, enabled, public)
SELECT id, name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword,
       keyword_absent, json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries,
       verify_tls, follow_redirects, group_name, tags, enabled, public
FROM jsonb_populate_record(NULL::services, %(service)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
