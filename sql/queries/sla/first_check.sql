-- When a service was first checked at any location; NULL if it has no checks. `now` is the present time.
SELECT min(starts_at) AS first_check, present() AS now
FROM episodes
WHERE service_id = %(service_id)s
