-- How many public incidents are not resolved.
SELECT count(*) AS total
FROM incidents
WHERE public AND status <> 'resolved'
