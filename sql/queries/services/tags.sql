-- All tags of services, for suggestions of the console.
SELECT DISTINCT tag FROM services CROSS JOIN unnest(tags) AS tag ORDER BY tag
