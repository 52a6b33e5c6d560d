-- The account of a user name or e-mail address (names contain no @), and whether the user has logged in from this address before.
SELECT id,
       username,
       email,
       role::text AS role,
       active,
       password_hash,
       EXISTS (SELECT FROM known_addresses
               WHERE user_id = users.id AND address = known_as(%(address)s::inet)) AS known_address
FROM users
WHERE lower(username) = lower(%(login)s) OR lower(email) = lower(%(login)s)
