-- The service of a page; the caller checks `public`.
SELECT service_status.service_id AS id,
       service_status.name,
       service_status.description,
       service_status.group_name AS "group",
       state,
       since,
       checked_at,
       interval_seconds,
       certificate_expires_at,
       certificate_issuer,
       service_status.public,
       service_status.enabled
FROM service_status
JOIN services ON services.id = service_status.service_id
WHERE services.id = %(service_id)s
