-- Everything that can be set of one service.
UPDATE services
SET (name, description, type, endpoint_url, method, headers, body, expected_status_codes, keyword, keyword_absent,
     json_path, json_value, interval_seconds, timeout_ms, degraded_after_ms, retries, verify_tls, follow_redirects,
     group_name, tags, enabled, public)
  = (given.name, given.description, given.type, given.endpoint_url, given.method, given.headers, given.body,
     given.expected_status_codes, given.keyword, given.keyword_absent, given.json_path, given.json_value,
     given.interval_seconds, given.timeout_ms, given.degraded_after_ms, given.retries, given.verify_tls,
     given.follow_redirects, given.group_name, given.tags, given.enabled, given.public)
FROM jsonb_populate_record(NULL::services, %(service)s) AS given
WHERE services.id = given.id
