-- The ids that are not those of services.
SELECT named.id
FROM unnest(%(ids)s::text[]) AS named (id)
LEFT JOIN services ON services.id = named.id
WHERE services.id IS NULL
