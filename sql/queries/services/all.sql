-- Every service with all of its fields, for admins.
SELECT id, name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
       json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries, verify_tls, follow_redirects,
       group_name, tags, enabled, public, declared_in
FROM services
ORDER BY group_name NULLS FIRST, name, id
