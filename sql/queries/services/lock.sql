-- Locks a service against other changes until the end of the transaction. Not FOR UPDATE: a batch of its checks would wait for that,
-- and the two transactions could wait for each other.
SELECT FROM services WHERE id = %(id)s FOR NO KEY UPDATE
