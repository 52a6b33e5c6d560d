-- What the probers are to look at, and how.
SELECT id, type, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent, json_path, json_value,
       interval_seconds, timeout_ms, degraded_after_ms, retries, verify_tls, follow_redirects
FROM services
WHERE enabled
ORDER BY id
