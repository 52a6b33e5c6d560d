CALL keep_partitions()
