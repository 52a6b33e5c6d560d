-- Plain PostgreSQL has no background jobs: the worker calls keep_partitions. The first partitions are made here, so that a check
-- can be stored at once; they reach back over {retention}.
CALL keep_partitions();
