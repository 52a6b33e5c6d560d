-- The number of templates with a text in name or description.
SELECT count(*) AS total
FROM templates,
     (SELECT '%%' || regexp_replace(%(search)s, '([\\%%_])', '\\\1', 'g') || '%%' AS text) AS sought
WHERE name ILIKE sought.text OR description ILIKE sought.text
