-- How a service is checked is one document, its shape that of its check type: sla_monitor/checks. The columns of HTTP stay for one
-- release, because programs of release 0.1 read and write them while an installation is upgraded. keep_check_config() keeps the
-- two in step.
ALTER TABLE services ADD COLUMN check_config jsonb;

COMMENT ON COLUMN services.check_config IS 'how the service is checked; its type says which fields it has';

CREATE FUNCTION http_config(service services) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN jsonb_build_object(
        'type', 'http',
        'endpoint_url', service.endpoint_url,
        'method', service.method,
        'headers', service.headers,
        'body', service.body,
        'expected_status_codes', to_jsonb(service.expected_status_codes),
        'keyword', service.keyword,
        'keyword_absent', service.keyword_absent,
        'json_path', service.json_path,
        'json_value', service.json_value,
        'verify_tls', service.verify_tls,
        'follow_redirects', service.follow_redirects);

COMMENT ON FUNCTION http_config(services) IS 'what the columns of release 0.1 say of an HTTP check';

-- Nothing changes for anybody: no event, no line in the audit log, no other time of the last change.
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE services DISABLE TRIGGER USER;
UPDATE services SET check_config = http_config(services);
ALTER TABLE services ENABLE TRIGGER USER;

ALTER TABLE services
    ALTER COLUMN check_config SET NOT NULL,
    ALTER COLUMN endpoint_url DROP NOT NULL,
    DROP CONSTRAINT services_type,
    ADD CONSTRAINT services_type CHECK (type = check_config ->> 'type'),
    ADD CONSTRAINT services_endpoint_url_there CHECK (type <> 'http' OR endpoint_url IS NOT NULL);
SET CONSTRAINTS ALL DEFERRED;
