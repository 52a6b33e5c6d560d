-- The number of raw rows in the chunks that end before a time. The time must be the end of a chunk.
SELECT count(*) FROM checks WHERE scheduled_at < %(older_than)s
