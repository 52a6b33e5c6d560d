-- The holiday calendars by name, each with its days in order.
SELECT holiday_calendars.name,
       coalesce(array_agg(day ORDER BY day) FILTER (WHERE day IS NOT NULL), '{}')           AS days,
       coalesce(array_agg(holidays.name ORDER BY day) FILTER (WHERE day IS NOT NULL), '{}') AS names
FROM holiday_calendars
LEFT JOIN holidays ON calendar = holiday_calendars.name
GROUP BY holiday_calendars.name
ORDER BY holiday_calendars.name
