-- One page of the templates with a text in name or description, sorted by name. The text may contain the wildcards of ILIKE, which
-- are escaped.
SELECT id, name, description, title, severity, priority, affected_services, incident_description, first_update,
       created_by, author, created_at, updated_at
FROM templates,
     (SELECT '%%' || regexp_replace(%(search)s, '([\\%%_])', '\\\1', 'g') || '%%' AS text) AS sought
WHERE name ILIKE sought.text OR description ILIKE sought.text
ORDER BY lower(name)
LIMIT %(limit)s OFFSET %(offset)s
