-- The present state of the service as a number, and the days until its certificate expires.
SELECT array_position('{operational,degraded,outage,unknown,maintenance}', coalesce(state, 'unknown')) - 1 AS "State",
       extract(epoch FROM now() - checked_at)                    AS "Last check",
       extract(epoch FROM certificate_expires_at - now())        AS "Certificate"
FROM analytics.services_v1
WHERE service_id = '$service'
