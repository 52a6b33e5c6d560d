-- Half of each page is left free for the rows of the running hour and day, which are added to every quarter of an hour.
ALTER TABLE rollups SET (fillfactor = 80);

CREATE INDEX rollups_days ON rollups (bucket) WHERE tier = 'daily';
