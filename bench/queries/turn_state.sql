-- One service changes its state: one event for everyone in the status room.
UPDATE service_states SET state = %(state)s, since = now() WHERE service_id = 'service-1'
