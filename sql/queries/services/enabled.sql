-- The services that probers check, as whole rows, because the schema may still be that of release 0.1.
SELECT to_jsonb(services) AS service
FROM services
WHERE enabled
ORDER BY id
