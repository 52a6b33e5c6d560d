-- Whether a holiday calendar and a service exist. A name that is NULL is not looked up.
SELECT %(calendar)s::text IS NULL OR EXISTS (SELECT FROM holiday_calendars WHERE name = %(calendar)s) AS has_calendar,
       %(service)s::text IS NULL OR EXISTS (SELECT FROM services WHERE id = %(service)s)              AS has_service
