-- What an earlier start has agreed with this database.
SELECT time_zone, retention, compress_after FROM installation
