-- Whether a service exists or has existed: corrections concern the past, also that of deleted services.
SELECT EXISTS (SELECT FROM service_memberships WHERE service_id = %(id)s) AS known
