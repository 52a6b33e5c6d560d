-- Every service, private ones too, as those inside choose among them.
SELECT id, name, group_name, public FROM services ORDER BY group_name NULLS FIRST, name, id
