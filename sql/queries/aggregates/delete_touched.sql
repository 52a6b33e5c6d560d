DELETE FROM touched_ranges WHERE id = ANY (%(ids)s)
