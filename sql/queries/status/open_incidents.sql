-- The number of unresolved public incidents.
SELECT count(*) AS total
FROM incidents
WHERE public AND status <> 'resolved'
