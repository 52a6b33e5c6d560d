-- Plain PostgreSQL has no background jobs: the worker calls keep_partitions. The first partitions are created here, so
-- that a check can be stored at once; they cover the last {retention}.
CALL keep_partitions();
