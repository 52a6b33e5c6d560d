-- Plain PostgreSQL has no background jobs: housekeeping calls keep_partitions. The first partitions are made here, so that a check
-- can be stored at once; they reach back over {retention}.
CALL keep_partitions();
