-- The services that were declared in one file, and are not in its new version.
SELECT id
FROM services
WHERE declared_in = %(file)s AND id <> ALL (%(ids)s::text[])
ORDER BY id
