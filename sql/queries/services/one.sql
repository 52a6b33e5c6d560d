-- One service with all that can be set; locked against others who change it, where the transaction goes on. Not FOR UPDATE:
-- that would make a batch of its checks wait, and the two could wait for each other.
SELECT id, name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
       json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries, verify_tls, follow_redirects,
       group_name, tags, enabled, public, declared_in
FROM services
WHERE id = %(id)s
FOR NO KEY UPDATE
