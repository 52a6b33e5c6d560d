-- Every service, private ones included, for selection lists of the console.
SELECT id, name, group_name, public FROM services ORDER BY group_name NULLS FIRST, name, id
