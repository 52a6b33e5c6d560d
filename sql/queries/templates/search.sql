-- One page of the templates that have a text in their name or description, by name. The characters that mean something to
-- ILIKE stand for themselves.
SELECT id, name, description, title, severity, priority, affected_services, incident_description, first_update,
       created_by, author, created_at, updated_at
FROM templates,
     (SELECT '%%' || regexp_replace(%(search)s, '([\\%%_])', '\\\1', 'g') || '%%' AS text) AS sought
WHERE name ILIKE sought.text OR description ILIKE sought.text
ORDER BY lower(name)
LIMIT %(limit)s OFFSET %(offset)s
