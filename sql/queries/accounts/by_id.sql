-- The user with this id, and whether they have logged in from this address before.
SELECT id,
       username,
       email,
       role::text AS role,
       active,
       password_hash,
       EXISTS (SELECT FROM known_addresses
               WHERE user_id = users.id AND address = known_as(%(address)s::inet)) AS known_address
FROM users
WHERE id = %(id)s
