-- All users, for the command line.
SELECT username,
       email,
       role::text,
       CASE WHEN active THEN 'yes' ELSE 'no' END AS active,
       coalesce(iso_time(last_login_at), '-')    AS last_login
FROM users
ORDER BY lower(username)
