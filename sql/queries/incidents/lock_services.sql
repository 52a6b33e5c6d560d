-- Which of these services there are. They stay until the transaction has ended. Locked before the incident is, as a service's
-- deletion locks them: otherwise the two could wait for each other.
SELECT id FROM services WHERE id = ANY (%(ids)s) ORDER BY id FOR KEY SHARE
