-- Whether the current role is not a superuser and owns the database of the programs.
SELECT NOT rolsuper AND EXISTS (SELECT FROM pg_database AS d WHERE datname = %(database)s AND datdba = r.oid)
FROM pg_roles AS r
WHERE rolname = session_user
