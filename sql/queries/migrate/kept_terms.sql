-- The settings that are stored in this database.
SELECT time_zone, retention, compress_after FROM installation
