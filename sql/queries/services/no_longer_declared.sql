-- The services that one file declares until now and would no longer.
SELECT id
FROM services
WHERE declared_in = %(file)s AND id <> ALL (%(ids)s::text[])
ORDER BY id
