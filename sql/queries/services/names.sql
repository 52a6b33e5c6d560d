-- The public services, sorted by name.
SELECT id, name FROM services WHERE public ORDER BY group_name NULLS FIRST, name, id
