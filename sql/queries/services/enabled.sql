-- What the probers are to check, and how: each row as it is, because the schema may still be that of release 0.1.
SELECT to_jsonb(services) AS service
FROM services
WHERE enabled
ORDER BY id
