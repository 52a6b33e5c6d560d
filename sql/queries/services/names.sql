-- The public services, as a page lists them.
SELECT id, name FROM services WHERE public ORDER BY group_name NULLS FIRST, name, id
