-- Sets the current port of the API in the URL of the service that checks it, unless that URL has been changed to
-- another host or path.
UPDATE services
SET endpoint_url = %(endpoint_url)s
WHERE id = 'sla-monitor' AND declared_in IS NULL AND endpoint_url <> %(endpoint_url)s
  AND endpoint_url ~ '^http://(127\.0\.0\.1|\[::1\]|localhost):[0-9]+/health$'
