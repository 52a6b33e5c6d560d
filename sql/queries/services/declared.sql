-- The services that are declared as code, with all that can be set.
SELECT id, name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
       json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries, verify_tls, follow_redirects,
       group_name, tags, enabled, public, declared_in
FROM services
WHERE declared_in IS NOT NULL
ORDER BY id
