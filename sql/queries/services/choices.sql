-- All services, including private ones, for forms.
SELECT id, name, group_name, public FROM services ORDER BY group_name NULLS FIRST, name, id
